// SPDX-License-Identifier: Apache-2.0

package import Telemetry

extension ProxyService {
    /// What the loops have counted, all together. Never goes backward, over reloads either.
    package func metrics() async -> [MetricFamily] {
        let round = await reports.round()
        return ProxyMetrics(round, droppedLines: linesDropped, order).families
    }
}
