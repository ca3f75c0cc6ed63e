// SPDX-License-Identifier: Apache-2.0

import Admission
import Telemetry

/// What one loop tells a scrape: its counts, and how it is at that moment.
struct LoopReport: Sendable {
    var metrics: LoopMetrics
    var gate: GateTotals
    var standing: GateStanding
    var pool: PoolCensus
    var connections: Int
}

/// A loop's connections to the handler, by what they do; those that carry streams are among the streams.
struct PoolCensus: Sendable, Equatable {
    var connecting = 0
    var idle = 0
    var busy = 0
}

extension Loop {
    var report: LoopReport {
        LoopReport(
            metrics: metrics, gate: gateTotals, standing: epoch.gate.standing, pool: epoch.pool.census,
            connections: connectionCount)
    }
}
