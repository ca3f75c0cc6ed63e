// SPDX-License-Identifier: Apache-2.0

/// What was counted in one second, on one loop or on all of them.
///
/// A loop counts into the same one again and again: nothing is allocated but where a route is met that had no row yet.
package struct TrafficSecond: Sendable {
    /// What one policy decided.
    package struct Policy: Sendable, Equatable {
        package var allowed = 0
        package var denied = 0
        /// Admitted, and refused if it were enforced.
        package var shadow = 0

        package init(allowed: Int = 0, denied: Int = 0, shadow: Int = 0) {
            self.allowed = allowed
            self.denied = denied
            self.shadow = shadow
        }

        package var isEmpty: Bool { self == Policy() }

        package static func += (sum: inout Policy, other: Policy) {
            sum.allowed += other.allowed
            sum.denied += other.denied
            sum.shadow += other.shadow
        }
    }

    private(set) var outcomes = TrafficOutcomes()
    private(set) var durations = LatencyHistogram()
    private(set) var routes = TrafficRoutes()
    /// Requests that were sent to the handler, or would have been.
    private(set) var handled = TrafficOutcomes()
    /// To the heads of its answers.
    private(set) var handlerDurations = LatencyHistogram()
    package var policies: [String: Policy] = [:]
    /// Questions to Redis that were answered.
    package var redisDurations = Histogram(.ofParts)
    /// Decisions that were made without Redis.
    package var withoutRedis = 0

    package init() {}

    package var isEmpty: Bool {
        outcomes.total == 0 && policies.isEmpty && withoutRedis == 0 && redisDurations.count == 0
    }

    /// - Parameters:
    ///   - label: its route, as ``LabelNames`` number it.
    ///   - nanoseconds: nil where its time tells nothing.
    package mutating func count(_ outcome: TrafficOutcome, route label: Int, nanoseconds: Int64?) {
        outcomes.count(outcome)
        if let nanoseconds { durations.observe(nanoseconds: nanoseconds) }
        routes.count(outcome, of: label, nanoseconds: nanoseconds)
    }

    /// - Parameter nanoseconds: to the head of its answer; nil where there was none.
    package mutating func countHandler(hasFailed: Bool, nanoseconds: Int64?) {
        handled.count(hasFailed ? .failed : .allowed)
        if let nanoseconds { handlerDurations.observe(nanoseconds: nanoseconds) }
    }

    /// Begins another second.
    package mutating func empty() {
        outcomes = TrafficOutcomes()
        durations.empty()
        routes.empty()
        handled = TrafficOutcomes()
        handlerDurations.empty()
        policies.removeAll(keepingCapacity: true)
        redisDurations = Histogram(.ofParts)
        withoutRedis = 0
    }

    static func += (sum: inout TrafficSecond, other: TrafficSecond) {
        sum.outcomes += other.outcomes
        sum.durations += other.durations
        sum.routes += other.routes
        sum.handled += other.handled
        sum.handlerDurations += other.handlerDurations
        for (name, policy) in other.policies { sum.policies[name, default: Policy()] += policy }
        sum.redisDurations += other.redisDurations
        sum.withoutRedis += other.withoutRedis
    }
}
