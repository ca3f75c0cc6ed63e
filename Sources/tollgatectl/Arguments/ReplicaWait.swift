// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Octets
import Redis

/// Whether a change has reached the replicas: one that none has is undone by a failover.
struct ReplicaWait: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long to wait until all replicas of Redis have it: 5s, at most 60s, or none.", valueName: "time"),
        transform: Moment.wait)
    var wait = Moment.Wait(seconds: 1)

    /// After a change that may be made once more: where no replica has it, the command ends with `tryAgain`.
    func wait(_ directory: Directory, isToldInText: Bool) async throws {
        switch await outcome(directory) {
        case .nobody: break
        case .unknown(let why, let isRefused):
            guard isRefused else {
                throw Failure(
                    .tryAgain, "it was done, but whether a replica has it can't be told (\(why)); repeat the command")
            }
            warnOfIgnorance(why)
        case .told(let reach):
            guard reach.reached > 0 else {
                throw Failure(
                    .tryAgain, "it was done, but \(Self.unreached(reach)); repeat the command, until one has it")
            }
            if isToldInText { try Output.line("\(Self.text(reach)).") }
        }
    }

    /// After a change that can't be made once more.
    func warn(_ directory: Directory) async {
        switch await outcome(directory) {
        case .nobody: break
        case .unknown(let why, _): warnOfIgnorance(why)
        case .told(let reach): if reach.reached == 0 { Output.warn(Self.unreached(reach)) }
        }
    }

    private enum Outcome {
        /// There are no replicas, or nobody is to be waited for.
        case nobody
        case told(Replicas)
        case unknown(why: String, isRefused: Bool)
    }

    private func outcome(_ directory: Directory) async -> Outcome {
        guard let seconds = wait.seconds else { return .nobody }
        do throws(DirectoryError) {
            return try await directory.replicas(within: seconds).map(Outcome.told) ?? .nobody
        } catch {
            guard case .redis(let fault) = error else { return .unknown(why: "\(error)", isRefused: false) }
            return .unknown(why: "\(fault)".printable, isRefused: fault.serverCode != nil)
        }
    }

    private func warnOfIgnorance(_ why: String) {
        Output.warn("whether replicas have it can't be told (\(why)); --wait none asks nobody")
    }

    private static func text(_ reach: Replicas) -> String {
        "\(reach.reached) of \("replica".counted(reach.attached)) \(reach.reached == 1 ? "has" : "have") it"
    }

    private static func unreached(_ reach: Replicas) -> String {
        "\(reach.attached == 1 ? "the replica doesn't have it yet" : "none of \(reach.attached) replicas has it yet"): a "
            + "failover now would undo it"
    }
}
