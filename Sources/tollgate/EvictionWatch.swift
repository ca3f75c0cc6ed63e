// SPDX-License-Identifier: Apache-2.0

import Admin
import Directory
import Endpoints
import Logging
import NIOConcurrencyHelpers
import Octets
import Redis
import Telemetry

/// Whether Redis takes keys away where its memory is full. Nobody hears of that otherwise: a credential that is gone is an
/// unknown key, and a bucket that is gone is full.
///
/// Asked on the connection of a beat, a minute apart: requests pay nothing for it. A server that doesn't tell (`INFO` is
/// refused by many that are managed) is one of which nothing is known, and nothing said.
final class EvictionWatch: Sendable {
    /// Beats come more often.
    private static let interval = Duration.seconds(60)

    private struct State {
        var askedAt: ContinuousClock.Instant?
        var isUntold = false
        /// As far as it was said.
        var policy = EvictionPolicy.nothing
        /// When the policy was seen first.
        var since: WallTime?
        /// Each server's own count; none before it was heard. Without a cluster there is one, which has no address.
        var evicted: [ServerAddress?: Int] = [:]
        /// Since this process began.
        var total = 0

        /// - Returns: how many are new. What was before the first answer is not: it may be of any time.
        mutating func count(_ evicted: Int?, of server: ServerAddress?) -> Int {
            guard let evicted, evicted >= 0 else { return 0 }
            defer { self.evicted[server] = evicted }
            guard let last = self.evicted[server] else { return 0 }
            // A server that begins anew counts from 0.
            let new = evicted >= last ? evicted - last : evicted
            total = min(total, Int.max - new) + new
            return new
        }
    }

    private let state = NIOLockedValueBox(State())
    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant

    init(logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.logger = logger
        self.now = now
    }

    /// Asks, where it is time.
    ///
    /// What keeps it from being asked is nothing that others would have to hear of.
    func look(by client: RedisClient) async {
        let now = now()
        let isDue = state.withLockedValue { state in
            if let askedAt = state.askedAt, now - askedAt < Self.interval { return false }
            state.askedAt = now
            return true
        }
        guard isDue else { return }
        var told: [(server: ServerAddress?, eviction: Eviction)] = []
        var silence: RedisError?
        for primary in client.primaries {
            do throws(RedisError) {
                told.append((primary.address, try await primary.eviction()))
            } catch {
                silence = error
            }
        }
        if let silence, told.isEmpty { hearNothing(silence) } else { hear(told, isWhole: silence == nil) }
    }

    /// The next answer may be that of a server that has begun anew: it is asked for at the next beat.
    func expectAnother() {
        state.withLockedValue { $0.askedAt = nil }
    }

    /// Another server is asked from now on: what was heard is not about it.
    func forget() {
        state.withLockedValue { state in
            (state.askedAt, state.evicted, state.since) = (nil, [:], nil)
            (state.policy, state.isUntold) = (.nothing, false)
        }
    }

    func hear(_ eviction: Eviction) {
        hear([(nil, eviction)], isWhole: true)
    }

    /// The worst policy of all servers counts, and what each has evicted.
    ///
    /// - Parameter isWhole: each has told. Else one of those that haven't may be the one that was worse.
    private func hear(_ told: [(server: ServerAddress?, eviction: Eviction)], isWhole: Bool) {
        let worst = told.max { $0.eviction.hazard.severity < $1.eviction.hazard.severity }
        guard let worst else { return }
        let (old, policy, evicted) = state.withLockedValue { state in
            let old = state.policy
            let isOver = worst.eviction.hazard.severity < old.severity
            let policy = isOver && !isWhole ? old : worst.eviction.hazard
            if policy != old { state.since = policy == .nothing ? nil : .now() }
            (state.policy, state.isUntold) = (policy, false)
            return (old, policy, told.reduce(0) { $0 + state.count($1.eviction.evictedKeys, of: $1.server) })
        }
        if policy != old, worst.eviction.policy != nil { tell(policy) }
        guard evicted > 0 else { return }
        logger.error(
            "redis has evicted keys: credentials, revocations and counts may be among them",
            metadata: ["keys": "\(evicted)", "policy": "\(worst.eviction.policy?.name.printable ?? "")"])
    }

    private func hearNothing(_ error: RedisError) {
        let isNew = state.withLockedValue { state in
            defer { (state.isUntold, state.policy, state.since) = (true, .nothing, nil) }
            return !state.isUntold
        }
        if isNew { logger.debug("redis doesn't tell what it evicts", metadata: ["error": "\(error)"]) }
    }

    private func tell(_ policy: EvictionPolicy) {
        switch policy {
        case .nothing: logger.notice("redis evicts no keys any more")
        case .any(let name):
            logger.error(
                "redis evicts keys where its memory is full: credentials, revocations and counts vanish",
                metadata: ["policy": "\(name.printable)"])
        case .expiring(let name):
            logger.warning(
                "redis evicts buckets where its memory is full: idle buckets start full",
                metadata: ["policy": "\(name.printable)"])
        }
    }

    /// Why the sidecar is ready and something is to be mended; nil where nothing is.
    var cause: Readiness.Cause? {
        state.withLockedValue { state in
            guard case .any(let name) = state.policy else { return nil }
            return Readiness.Cause(
                "eviction",
                "Redis takes away keys where its memory is full (maxmemory-policy \(name.printable)). Set noeviction.",
                since: state.since)
        }
    }

    var family: MetricFamily {
        MetricFamily(
            "tollgate_redis_evicted_keys_total", .counter,
            "Keys that Redis took away for want of memory, since this sidecar asks; every sidecar counts the same ones.",
            state.withLockedValue { $0.total })
    }
}

extension EvictionPolicy {
    fileprivate var severity: Int {
        switch self {
        case .nothing: 0
        case .expiring: 1
        case .any: 2
        }
    }
}

extension Eviction {
    /// The policy, as far as it takes anything away that is missed. Without a bound `volatile-*` comes to nothing;
    /// `allkeys-*` is told in any case: managed servers bound memory without saying so.
    fileprivate var hazard: EvictionPolicy {
        switch policy {
        case .any(let name): .any(name)
        case .expiring(let name) where maximumMemory ?? 0 > 0: .expiring(name)
        case .expiring, .nothing, nil: .nothing
        }
    }
}
