// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
package import Octets
package import Redis

/// How often something was called, and what it cost.
package struct UsageSum: Sendable, Equatable {
    package var allowed = 0
    package var denied = 0
    /// Tokens.
    package var cost = 0

    package init(allowed: Int = 0, denied: Int = 0, cost: Int = 0) {
        self.allowed = allowed
        self.denied = denied
        self.cost = cost
    }

    package static func += (sum: inout UsageSum, other: UsageSum) {
        sum.allowed &+= other.allowed
        sum.denied &+= other.denied
        sum.cost &+= other.cost
    }
}

/// What sidecars have counted, as operators read it.
package struct UsageHistory: Sendable {
    /// Of one day.
    package struct Entry: Sendable, Equatable {
        /// The part of its id behind the slash.
        package var key: String
        /// As the counters call it; ``tool`` is what callers do.
        package var label: String
        package var sum: UsageSum

        /// Nil of calls that name no tool; `other` of all tools that the sidecars' configuration doesn't name.
        package var tool: String? { label == UsageField.none ? nil : UsageField.tool(label) }
    }

    /// Fields a step.
    private static let scanStep = "1000"

    private let redis: RedisClient
    private let names: Names

    package init(_ redis: RedisClient, namespace: String) {
        self.redis = redis
        names = Names(namespace: namespace)
    }

    /// By Redis' clock.
    package func today() async throws(RedisError) -> UTCDay {
        let answer = try await redis.send("TIME").array
        guard let seconds = answer?.first?.text.flatMap({ Int($0) }) else {
            throw .protocolViolation("no time")
        }
        return UTCDay(number: seconds / 86_400)
    }

    /// - Parameter key: nil for all of the organization's.
    /// - Returns: an entry for each key and tool, in no order.
    package func entries(
        on day: UTCDay, of organization: OrganizationID, key: KeyID? = nil
    ) async throws(RedisError) -> [Entry] {
        let name = names.usage(organization.text, day: day.number)
        let pattern = key.map { "\($0.local):*" } ?? "*"
        // HSCAN may name a field twice.
        var sums: [String: UsageSum] = [:]
        var cursor = "0"
        repeat {
            let answer = try await redis.send("HSCAN", name, cursor, "MATCH", pattern, "COUNT", Self.scanStep).array
            guard let answer, answer.count == 2, let next = answer[0].text, let found = answer[1].array else {
                throw .protocolViolation("unexpected answer to HSCAN")
            }
            for index in stride(from: 0, to: found.count - 1, by: 2) {
                guard let field = found[index].text, let colon = field.lastIndex(of: ":"),
                    let count = found[index + 1].text.flatMap({ Int($0) })
                else { continue }
                let subject = String(field[..<colon])
                switch field[field.index(after: colon)...] {
                case "a": sums[subject, default: UsageSum()].allowed = count
                case "d": sums[subject, default: UsageSum()].denied = count
                case "c": sums[subject, default: UsageSum()].cost = count
                default: continue
                }
            }
            cursor = next
        } while cursor != "0"
        return sums.compactMap { subject, sum in
            guard let colon = subject.firstIndex(of: ":") else { return nil }
            return Entry(
                key: String(subject[..<colon]), label: String(subject[subject.index(after: colon)...]), sum: sum)
        }
    }
}
