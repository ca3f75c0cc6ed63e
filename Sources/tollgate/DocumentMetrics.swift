// SPDX-License-Identifier: Apache-2.0

import OpenAPI
import Telemetry

/// What became of the documents that `routes` names; no series where it names none.
enum DocumentMetrics {
    /// - Parameter routesProblem: why what they told isn't at work.
    static func families(_ reports: [DocumentReport], routesProblem: String?) -> [MetricFamily] {
        let isWell = routesProblem == nil && reports.allSatisfy { $0.wasRead && $0.problem == nil }
        return [
            family(
                "tollgate_openapi_success",
                "1 unless a document of openapi can't be read, or what it tells can't be put to work.",
                reports.isEmpty ? nil : isWell ? 1 : 0),
            family(
                "tollgate_openapi_left_out", "Operations of the documents of openapi that can't be routes.",
                reports.isEmpty ? nil : reports.map(\.leftOut).reduce(0, +)),
        ]
    }

    private static func family(_ name: String, _ help: String, _ value: Int?) -> MetricFamily {
        MetricFamily(name, .gauge, help, value.map { [MetricFamily.Sample([], .count($0))] } ?? [])
    }
}
