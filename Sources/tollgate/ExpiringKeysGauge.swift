// SPDX-License-Identifier: Apache-2.0

import Directory
import NIOConcurrencyHelpers
import Telemetry

/// `tollgate_keys_expiring`: the figure of the whole fleet, as this sidecar read it last. Every sidecar shows the same.
///
/// It outlives an outage of Redis, but not the lifetime that it was published with.
final class ExpiringKeysGauge: Sendable {
    private struct Figure {
        let keys: ExpiringKeys
        let end: ContinuousClock.Instant
    }

    private let figure = NIOLockedValueBox<Figure?>(nil)
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
    }

    /// - Parameter published: nil where there is none.
    func hear(_ published: (keys: ExpiringKeys, lasting: Duration)?) {
        let heard = published.map { Figure(keys: $0.keys, end: now() + $0.lasting) }
        figure.withLockedValue { $0 = heard }
    }

    /// Nil while nobody has counted lately.
    var current: ExpiringKeys? { figure.withLockedValue { $0 }.flatMap { now() < $0.end ? $0.keys : nil } }

    var family: MetricFamily {
        let current = current
        return MetricFamily(
            "tollgate_keys_expiring", .gauge,
            "Keys of all organizations that end within this time; absent while nobody has counted them lately.",
            by: "within", counted: current?.counts.map { ($0.span.rawValue, $0.keys) } ?? [])
    }
}
