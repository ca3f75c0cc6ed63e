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

    /// Of changes on several nodes: the replicas of that node that are the furthest behind, and the disk of all of them.
    init(worstOf reaches: [Reach]) {
        replicas = reaches.compactMap(\.replicas).min { ($0.reached, $0.attached) < ($1.reached, $1.attached) }
        isOnDisk =
            if reaches.contains(where: { $0.isOnDisk == false }) {
                false
            } else {
                reaches.allSatisfy { $0.isOnDisk == true } && !reaches.isEmpty ? true : nil
            }
    }

    /// Of changes on several nodes, as the worst of them. Where others have replicas, one without has lost its own: nobody but
    /// itself has the change.
    init(ofNodes reaches: [Reach]) {
        let isReplicated = reaches.contains { $0.replicas != nil }
        self.init(
            worstOf: reaches.map { reach in
                guard isReplicated, reach.replicas == nil else { return reach }
                return Reach(replicas: Replicas(attached: 0, reached: 0), isOnDisk: reach.isOnDisk)
            })
    }
}

extension Directory {
    /// Waits until all replicas and the disk have what this client has written (`WAIT`, `WAITAOF`), at most so long for both.
    /// On a cluster a key lies on two nodes, its record on one and the pointer to it on another: each is waited for.
    ///
    /// - Throws: `.redis`, of the server where the user may not ask about replicas.
    package func reach(within seconds: Int) async throws(DirectoryError) -> Reach {
        let deadline = ContinuousClock.now + .seconds(seconds)
        do throws(RedisError) {
            let servers = try await redis.used()
            let reaches = await withTaskGroup(of: Result<Reach, RedisError>.self) { group in
                for server in servers {
                    group.addTask {
                        do throws(RedisError) {
                            return .success(try await server.reach(until: deadline))
                        } catch {
                            return .failure(error)
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            var found: [Reach] = []
            for reach in reaches { found.append(try reach.get()) }
            return Reach(ofNodes: found)
        } catch {
            throw .redis(error)
        }
    }
}

extension RedisClient {
    fileprivate func reach(until deadline: ContinuousClock.Instant) async throws(RedisError) -> Reach {
        let replicas = try await replicas(until: deadline)
        return Reach(replicas: replicas, isOnDisk: await isOnDisk(until: deadline))
    }

    private func replicas(until deadline: ContinuousClock.Instant) async throws(RedisError) -> Replicas? {
        let replication = try await info("replication")
        // It was the primary a moment ago, and takes over what the new one has.
        guard replication["role"] != "slave" else { throw .unfit(.failingOver("the primary is one no more")) }
        let attached = replication.count("connected_slaves") ?? 0
        guard attached > 0 else { return nil }
        // In short steps: a command has its own time, and each asks about the same change.
        var reached = 0
        repeat {
            let count = try await send("WAIT", String(attached), "1000").integer ?? 0
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
            guard let reply = try? await send("WAITAOF", "1", "0", "1000"), let count = reply.array?.first?.integer
            else { return nil }
            if count > 0 { return true }
        } while tries < 2 || .now < deadline
        return false
    }
}
