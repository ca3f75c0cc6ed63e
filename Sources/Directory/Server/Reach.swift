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
    /// Waits until all replicas and the disk have what this connection has written (`WAIT`, `WAITAOF`), at most so long for
    /// both.
    ///
    /// - Throws: `.redis`, of the server where the user may not ask about replicas.
    package func reach(within seconds: Int) async throws(DirectoryError) -> Reach {
        do throws(RedisError) {
            let deadline = ContinuousClock.now + .seconds(seconds)
            let replicas = try await replicas(until: deadline)
            return Reach(replicas: replicas, isOnDisk: await isOnDisk(until: deadline))
        } catch {
            throw .redis(error)
        }
    }

    private func replicas(until deadline: ContinuousClock.Instant) async throws(RedisError) -> Replicas? {
        let attached = try await redis.info("replication").count("connected_slaves") ?? 0
        guard attached > 0 else { return nil }
        // In short steps: a command has its own time, and each asks about the same change.
        var reached = 0
        repeat {
            let count = try await redis.send("WAIT", String(attached), "1000").integer ?? 0
            reached = min(Int(clamping: count), attached)
        } while reached < attached && .now < deadline
        return Replicas(attached: attached, reached: reached)
    }

    /// - Returns: nil where it can't be told. Redis 7.0 has no such command, users.acl can't name it there, without a file it is
    ///   an error, and a proxy may know nothing of it: what is known of the replicas is true all the same.
    private func isOnDisk(until deadline: ContinuousClock.Instant) async -> Bool? {
        // `appendfsync everysec` is up to a second late, and then the disk takes its time.
        var tries = 0
        repeat {
            tries += 1
            guard let reply = try? await redis.send("WAITAOF", "1", "0", "1000"),
                let count = reply.array?.first?.integer
            else { return nil }
            if count > 0 { return true }
        } while tries < 2 || .now < deadline
        return false
    }
}
