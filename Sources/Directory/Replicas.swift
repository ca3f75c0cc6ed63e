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
    /// - Returns: nil where there are no replicas.
    /// - Throws: `.redis`, of the server where the user may not ask.
    package func replicas(within seconds: Int) async throws(DirectoryError) -> Replicas? {
        do throws(RedisError) {
            let attached = try await attachedReplicas()
            guard attached > 0 else { return nil }
            // In short steps: a command has its own time, and each asks about the same change.
            var reached = 0
            for _ in 0..<max(1, seconds) {
                let count = try await redis.send("WAIT", String(attached), "1000").integer ?? 0
                reached = min(Int(clamping: count), attached)
                if reached == attached { break }
            }
            return Replicas(attached: attached, reached: reached)
        } catch {
            throw .redis(error)
        }
    }

    private func attachedReplicas() async throws(RedisError) -> Int {
        let text = try await redis.send("INFO", "replication").text ?? ""
        let name = "connected_slaves:"
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.dropFirst(name.count)) } ?? 0
    }
}
