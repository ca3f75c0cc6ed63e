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

/// Where a change is beside the server's memory.
package struct Reach: Sendable, Equatable {
    /// Nil where there are none.
    package var replicas: Replicas?
    /// On the server's own disk. Nil where it keeps no append-only file, or doesn't tell: before Redis 7.2, and to users
    /// who may not ask.
    package var isOnDisk: Bool?

    package init(replicas: Replicas? = nil, isOnDisk: Bool? = nil) {
        self.replicas = replicas
        self.isOnDisk = isOnDisk
    }
}

extension Directory {
    /// Waits until the disk and all replicas have what this connection has written (`WAIT`, `WAITAOF`), at most so long
    /// for each.
    ///
    /// - Throws: `.redis`, of the server where the user may not ask about replicas.
    package func reach(within seconds: Int) async throws(DirectoryError) -> Reach {
        do throws(RedisError) {
            let replicas = try await replicas(within: seconds)
            return Reach(replicas: replicas, isOnDisk: try await isOnDisk(within: seconds))
        } catch {
            throw .redis(error)
        }
    }

    private func replicas(within seconds: Int) async throws(RedisError) -> Replicas? {
        let attached = try await redis.info("replication").count("connected_slaves") ?? 0
        guard attached > 0 else { return nil }
        // In short steps: a command has its own time, and each asks about the same change.
        var reached = 0
        for _ in 0..<max(1, seconds) {
            let count = try await redis.send("WAIT", String(attached), "1000").integer ?? 0
            reached = min(Int(clamping: count), attached)
            if reached == attached { break }
        }
        return Replicas(attached: attached, reached: reached)
    }

    private func isOnDisk(within seconds: Int) async throws(RedisError) -> Bool? {
        // `appendfsync everysec` is up to a second late, and then the disk takes its time.
        for _ in 0...max(1, seconds) {
            do throws(RedisError) {
                let reply = try await redis.send("WAITAOF", "1", "0", "1000")
                guard let count = reply.array?.first?.integer else { return nil }
                if count > 0 { return true }
            } catch {
                // Redis 7.0 has no such command, users.acl can't name it there, and without a file it is an error.
                guard error.serverCode != nil else { throw error }
                return nil
            }
        }
        return false
    }
}
