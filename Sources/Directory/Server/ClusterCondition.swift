// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import Redis

/// How a cluster is set up, and how each of its primaries does, as far as they tell.
package struct ClusterCondition: Sendable {
    package struct Primary: Sendable {
        package var address: ServerAddress
        /// Its hash slots, in ranges.
        package var slots: [ClosedRange<Int>]
        /// Of a primary that doesn't answer, why.
        package var condition: Result<ServerCondition, RedisError>

        package init(
            address: ServerAddress, slots: [ClosedRange<Int>], condition: Result<ServerCondition, RedisError>
        ) {
            self.address = address
            self.slots = slots
            self.condition = condition
        }
    }

    package var primaries: [Primary]
    /// Hash slots that nobody has.
    package var unowned: Int
    /// `cluster-require-full-coverage`: where one primary is gone, all others refuse commands too. Nil where none tells.
    package var needsFullCoverage: Bool?
    /// Nil where these can't be read.
    package var guards: DatabaseGuards?
    /// Why; nil where a primary is away.
    package var guardsFault: RedisError?

    package init(
        primaries: [Primary], unowned: Int = 0, needsFullCoverage: Bool? = nil, guards: DatabaseGuards? = nil
    ) {
        self.primaries = primaries
        self.unowned = unowned
        self.needsFullCoverage = needsFullCoverage
        self.guards = guards
    }
}

extension Directory {
    /// Asks each primary of a cluster how it does, all at a time; nil on one server.
    package func clusterCondition() async -> ClusterCondition? {
        guard let map = redis.cluster else { return nil }
        let asked = await withTaskGroup(of: (ServerAddress, Result<ServerCondition, RedisError>, Bool?).self) { group in
            for primary in redis.primaries {
                guard let address = primary.address else { continue }
                group.addTask {
                    do throws(RedisError) {
                        let condition = try await primary.condition(names)
                        return (address, .success(condition), try await primary.needsFullCoverage())
                    } catch {
                        return (address, .failure(error), nil)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let slots = map.ranges
        let told = asked.compactMap(\.2)
        var (guards, fault): (DatabaseGuards?, RedisError?)
        do throws(DirectoryError) {
            guards = try await self.guards()
        } catch {
            if case .redis(let error) = error, error.fault != .primaryUnknown { fault = error }
        }
        var condition = ClusterCondition(
            primaries: map.primaries.compactMap { address in
                asked.first { $0.0 == address }.map { asked in
                    ClusterCondition.Primary(address: address, slots: slots[address] ?? [], condition: asked.1)
                }
            }, unowned: Int(HashSlot.count) - slots.values.joined().reduce(0) { $0 + $1.count },
            needsFullCoverage: told.isEmpty ? nil : told.contains(true), guards: guards)
        condition.guardsFault = fault
        return condition
    }
}

extension RedisClient {
    fileprivate func needsFullCoverage() async throws(RedisError) -> Bool? {
        let reply = try await told { () throws(RedisError) in
            try await send("CONFIG", "GET", "cluster-require-full-coverage")
        }
        return reply?.array.flatMap { $0.count == 2 ? $0[1].text == "yes" : nil }
    }
}

extension ClusterMap {
    /// Whose each hash slot is, slots that follow each other together.
    fileprivate var ranges: [ServerAddress: [ClosedRange<Int>]] {
        var ranges: [ServerAddress: [ClosedRange<Int>]] = [:]
        for number in 0..<Int(HashSlot.count) {
            guard let owner = HashSlot(number: number).flatMap(primary(of:)) else { continue }
            if let last = ranges[owner]?.last, last.upperBound == number - 1 {
                ranges[owner]?.removeLast()
                ranges[owner]?.append(last.lowerBound...number)
            } else {
                ranges[owner, default: []].append(number...number)
            }
        }
        return ranges
    }
}
