// SPDX-License-Identifier: Apache-2.0

import Limits

/// All that gates have counted: one since it began, or several together. Policies go by their names here, which outlive a
/// configuration.
package struct GateTotals: Sendable, Hashable {
    package var decisions = GateCounters()
    package var policies: [String: PolicyCounters] = [:]
    package var redis = RedisTraffic()
    /// Connections to Redis made again after one was lost; the first to another Redis is none.
    package var reconnects = 0

    package init() {}

    package mutating func add(_ traffic: RedisTraffic) {
        redis += traffic
        reconnects += traffic.reconnects
    }

    package static func += (sum: inout GateTotals, other: GateTotals) {
        sum.decisions += other.decisions
        for (name, counters) in other.policies { sum.policies[name, default: PolicyCounters()] += counters }
        sum.redis += other.redis
        sum.reconnects += other.reconnects
    }
}

/// How a gate is at a moment.
package struct GateStanding: Sendable, Hashable {
    /// What keeps it from Redis; nil: that is there, answers, and is the one this process began with.
    package var outage: GateOutage?
    /// What keeps it from a part of a cluster, while others are there.
    package var outageOfSome: GateOutage?
    /// Of a cluster's primaries those that are of no use.
    package var faultyServers: [String] = []
    package var breaker = Breaker.State.closed
    /// Known keys are served without Redis, by some of the configuration at least: it was of use lately, so they are known.
    package var servesWithoutRedis = false
    /// Commands that Redis owes an answer, or that wait to be sent.
    package var commandsInFlight = 0
    package var caches = Caches()

    /// Entries remembered.
    package struct Caches: Sendable, Hashable {
        package var keys = 0
        package var organizations = 0
        package var unknownKeys = 0
        package var addresses = 0

        package init() {}
    }

    package init(outage: GateOutage?) {
        self.outage = outage
    }
}

extension Gate {
    /// But for its connection's.
    package var totals: GateTotals {
        var totals = GateTotals()
        totals.decisions = counters
        for (policy, counters) in zip(configuration.policies, policyCounters) {
            totals.policies[policy.name, default: PolicyCounters()] += counters
        }
        return totals
    }

    /// Of its connection, which it may share with others.
    package var traffic: RedisTraffic { store.traffic }

    package func sharesConnection(with other: Gate) -> Bool { store === other.store }

    package var standing: GateStanding {
        var standing = GateStanding(outage: outage)
        standing.breaker = store.breakerState
        standing.outageOfSome = store.outageOfSome
        standing.faultyServers = store.faultyServers
        standing.servesWithoutRedis =
            configuration.servesWithoutRedis && store.wasOfUse(within: configuration.staleFor)
        standing.commandsInFlight = store.commandsInFlight
        standing.caches = cache.census
        standing.caches.addresses = payers.addressCount
        return standing
    }
}
