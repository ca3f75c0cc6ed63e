// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Octets
import Redis

/// Whether a change has reached disk and replicas: what none of these has is undone by a crash or a failover.
struct ReplicaWait: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long to wait until the disk and all replicas of Redis have it: 5s, at most 60s, or none.",
            valueName: "time"),
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
            warnOfDisk(reach)
            if let replicas = reach.replicas, replicas.reached == 0 {
                throw Failure(
                    .tryAgain, "it was done, but \(Self.unreached(replicas)); repeat the command, until one has it")
            }
            if isToldInText, let text = Self.text(reach) { try Output.line("\(text).") }
        }
    }

    /// After a change that can't be made once more.
    func warn(_ directory: Directory) async {
        switch await outcome(directory) {
        case .nobody: break
        case .unknown(let why, _): warnOfIgnorance(why)
        case .told(let reach):
            warnOfDisk(reach)
            if let replicas = reach.replicas, replicas.reached == 0 { Output.warn(Self.unreached(replicas)) }
        }
    }

    private enum Outcome {
        /// Nobody is to be waited for.
        case nobody
        case told(Reach)
        case unknown(why: String, isRefused: Bool)
    }

    private func outcome(_ directory: Directory) async -> Outcome {
        guard let seconds = wait.seconds else { return .nobody }
        do throws(DirectoryError) {
            return .told(try await directory.reach(within: seconds))
        } catch {
            guard case .redis(let fault) = error else { return .unknown(why: "\(error)", isRefused: false) }
            return .unknown(why: "\(fault)".printable, isRefused: fault.serverCode != nil)
        }
    }

    private func warnOfIgnorance(_ why: String) {
        Output.warn("whether replicas have it can't be told (\(why)); --wait none asks nobody")
    }

    private func warnOfDisk(_ reach: Reach) {
        guard reach.isOnDisk == false else { return }
        Output.warn("the server doesn't have it on its disk yet: a crash of its machine now would undo it")
    }

    /// Nil where there is nothing to tell.
    private static func text(_ reach: Reach) -> String? {
        let replicas = reach.replicas.map {
            "\($0.reached) of \("replica".counted($0.attached)) \($0.reached == 1 ? "has" : "have") it"
        }
        let disk = reach.isOnDisk == true ? "On this server's disk" : nil
        let parts = [disk, replicas].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private static func unreached(_ replicas: Replicas) -> String {
        switch replicas.attached {
        case 0: "a primary that has it has no replica now: its loss would undo it"
        case 1: "the replica doesn't have it yet: a failover now would undo it"
        default: "none of \(replicas.attached) replicas has it yet: a failover now would undo it"
        }
    }
}
