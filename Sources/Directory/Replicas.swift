// SPDX-License-Identifier: Apache-2.0

import Redis

/// How many replicas have a change. A failover to one that hasn't undoes it: Redis replicates after it has answered.
package struct Replicas: Sendable, Equatable {
    package let attached: Int
    /// Of those, how many have acknowledged it.
    package let reached: Int

    package init(attached: Int, reached: Int) {
        self.attached = attached
        self.reached = reached
    }
}

extension Directory {
    /// Waits until all replicas have what this connection has written (`WAIT`, redis.io/commands/wait), at most so long.
    ///
    /// - Returns: nil where there are no replicas, or the user of Redis may not ask.
    package func replicas(within seconds: Int) async -> Replicas? {
        guard let attached = try? await attachedReplicas(), attached > 0 else { return nil }
        // In short steps: a command has its own time, and each asks about the same change.
        var reached = 0
        for _ in 0..<max(1, seconds) {
            guard let count = try? await redis.send("WAIT", String(attached), "1000").integer else { return nil }
            reached = min(Int(clamping: count), attached)
            if reached == attached { break }
        }
        return Replicas(attached: attached, reached: reached)
    }

    private func attachedReplicas() async throws(RedisError) -> Int? {
        let text = try await redis.send("INFO", "replication").text ?? ""
        let name = "connected_slaves:"
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.dropFirst(name.count)) }
    }
}
