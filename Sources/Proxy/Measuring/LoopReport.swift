// SPDX-License-Identifier: Apache-2.0

import Admission
import Telemetry

/// What one loop tells a scrape: its counts, and how it is at that moment.
struct LoopReport: Sendable {
    var metrics: LoopMetrics
    var gate: GateTotals
    var standing: GateStanding
    var pool: UpstreamTally
    var connections: Int
}

extension Loop {
    var report: LoopReport {
        LoopReport(
            metrics: metrics, gate: gateTotals, standing: epoch.gate.standing, pool: epoch.pool.tally,
            connections: connectionCount)
    }
}
