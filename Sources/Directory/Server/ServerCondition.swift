// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Redis

/// How a server is set up, and how it does, as far as it tells: what it may lose, and when. Nil is what it doesn't tell
/// this user.
package struct ServerCondition: Sendable, Equatable {
    package var identity: ServerIdentity?
    package var eviction: Eviction?
    package var persistence: Persistence?
    package var replication: Replication?
    /// The shortest of a few, from a question to its answer.
    package var roundTrip: Duration

    package init(roundTrip: Duration) {
        self.roundTrip = roundTrip
    }

    /// What a restart leaves.
    package struct Persistence: Sendable, Equatable {
        /// `appendonly`: every write goes into a file.
        package var appendsOnly: Bool
        /// `save`: when a snapshot is made; empty for never, nil where it isn't told.
        package var snapshots: String?
        /// The last attempt to write either of them.
        package var hasFailed: Bool

        package init(appendsOnly: Bool, snapshots: String? = nil, hasFailed: Bool = false) {
            self.appendsOnly = appendsOnly
            self.snapshots = snapshots
            self.hasFailed = hasFailed
        }

        /// - Parameter info: `INFO persistence`.
        init?(_ info: InfoFields) {
            guard let isEnabled = info["aof_enabled"] else { return nil }
            appendsOnly = isEnabled == "1"
            hasFailed =
                info["rdb_last_bgsave_status"] == "err" || appendsOnly && info["aof_last_write_status"] == "err"
        }
    }

    /// Where its data is as well.
    package struct Replication: Sendable, Equatable {
        package struct Replica: Sendable, Equatable {
            /// `10.0.0.7:6379`
            package var address: String
            /// It has all data and follows.
            package var isOnline: Bool
            /// Since it was last heard of, in seconds; nil where that isn't told.
            package var lag: Int?

            package init(address: String, isOnline: Bool, lag: Int?) {
                self.address = address
                self.isOnline = isOnline
                self.lag = lag
            }
        }

        package var replicas: [Replica]
        /// `min-replicas-to-write`: alone it takes no writes, so that after a split only one of two primaries does.
        package var needsReplicas: Bool

        package init(replicas: [Replica], needsReplicas: Bool) {
            self.replicas = replicas
            self.needsReplicas = needsReplicas
        }

        /// - Parameter info: `INFO replication`.
        init?(_ info: InfoFields) {
            guard let count = info.count("connected_slaves") else { return nil }
            replicas = (0..<min(count, Self.mostShown)).compactMap { info["slave\($0)"].map(Replica.init) }
            // Only told where it is set.
            needsReplicas = info["min_slaves_good_slaves"] != nil
        }

        private static let mostShown = 100
    }
}

extension ServerCondition.Replication.Replica {
    /// - Parameter text: `ip=10.0.0.7,port=6379,state=online,offset=4711,lag=0`
    fileprivate init(_ text: String) {
        var fields: [Substring: Substring] = [:]
        for field in text.split(separator: ",") {
            guard let equals = field.firstIndex(of: "=") else { continue }
            fields[field[..<equals]] = field[field.index(after: equals)...]
        }
        self.init(
            address: "\(fields["ip"] ?? "?"):\(fields["port"] ?? "?")", isOnline: fields["state"] == "online",
            lag: fields["lag"].flatMap { Int($0) })
    }
}

extension Directory {
    /// Asks the server how it does. What it refuses to tell is left out.
    ///
    /// - Throws: `.redis` where it doesn't answer.
    package func condition() async throws(DirectoryError) -> ServerCondition {
        do throws(RedisError) {
            return try await redis.condition(names)
        } catch {
            throw .redis(error)
        }
    }
}

extension RedisClient {
    func condition(_ names: Names) async throws(RedisError) -> ServerCondition {
        var condition = ServerCondition(roundTrip: try await roundTrip(names))
        condition.identity = try await told { () throws(RedisError) in try await identity() }
        condition.eviction = try await told { () throws(RedisError) in try await eviction() }
        condition.persistence = try await persistence()
        condition.replication = try await told { () throws(RedisError) in try await info("replication") }
            .flatMap(ServerCondition.Replication.init)
        return condition
    }

    private func persistence() async throws(RedisError) -> ServerCondition.Persistence? {
        let info = try await told { () throws(RedisError) in try await self.info("persistence") }
        guard var persistence = info.flatMap(ServerCondition.Persistence.init) else { return nil }
        // Beside the file of all writes it says little, and few users may ask.
        guard !persistence.appendsOnly else { return persistence }
        let reply = try await told { () throws(RedisError) in try await send("CONFIG", "GET", "save") }
        persistence.snapshots = reply?.array.flatMap { $0.count == 2 ? $0[1].text : nil }
        return persistence
    }

    /// By the question that sidecars ask most often without a request; of a primary by one that needs no hash slot.
    private func roundTrip(_ names: Names) async throws(RedisError) -> Duration {
        var shortest = Duration.seconds(3_600)
        for _ in 0..<3 {
            let began = ContinuousClock.now
            if address == nil {
                _ = try await evaluate(.instance, keys: [names.instance], arguments: [""])
            } else {
                _ = try await evaluate(.clock, keys: [], arguments: [])
            }
            shortest = min(shortest, began.duration(to: .now))
        }
        return shortest
    }

    /// What a server answers that may refuse it.
    func told<Value>(_ ask: () async throws(RedisError) -> Value) async throws(RedisError) -> Value? {
        do throws(RedisError) {
            return try await ask()
        } catch {
            guard error.serverCode != nil else { throw error }
            return nil
        }
    }
}
