// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory

/// Whether a change has reached the replicas: one that none has is undone by a failover.
struct ReplicaWait: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long to wait until all replicas of Redis have it: 5s, at most 60s, or none.", valueName: "time"),
        transform: Moment.wait)
    var wait = Moment.Wait(seconds: 1)

    /// Nil where nobody is to be waited for.
    func reach(_ directory: Directory) async -> Replicas? {
        guard let seconds = wait.seconds else { return nil }
        return await directory.replicas(within: seconds)
    }

    /// After a change that may be made once more: where no replica has it, the command ends with `tryAgain`.
    func wait(_ directory: Directory, isToldInText: Bool) async throws {
        guard let reach = await reach(directory) else { return }
        guard reach.reached > 0 else {
            throw Failure(.tryAgain, "it was done, but \(Self.unreached(reach)); repeat the command, until one has it")
        }
        if isToldInText { try Output.line("\(Self.text(reach)).") }
    }

    /// After a change that can't be made once more.
    func warn(of reach: Replicas?) {
        if let reach, reach.reached == 0 { Output.warn(Self.unreached(reach)) }
    }

    private static func text(_ reach: Replicas) -> String {
        "\(reach.reached) of \("replica".counted(reach.attached)) \(reach.reached == 1 ? "has" : "have") it"
    }

    private static func unreached(_ reach: Replicas) -> String {
        "\(reach.attached == 1 ? "the replica doesn't have it yet" : "none of \(reach.attached) replicas has it yet"): a "
            + "failover now would undo it"
    }
}
