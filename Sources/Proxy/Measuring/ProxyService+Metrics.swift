// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Settings
import TLS
package import Telemetry

extension ProxyService {
    /// What the loops have counted, all together. Never goes backward, over reloads either.
    package func metrics() async -> [MetricFamily] {
        let round = await reports.round()
        return ProxyMetrics(round, droppedLines: linesDropped, order).families + current.settings.certificateMetrics
    }
}

extension Settings {
    /// When certificates end that others are shown. None where none are.
    fileprivate var certificateMetrics: [MetricFamily] {
        var ends: [String: Int] = [:]
        for certificates in listen.compactMap(\.opening.tls?.certificates) {
            for (identity, end) in zip(certificates.files.identities, certificates.ends) {
                ends[identity.certificate] = end
            }
        }
        for certificates in [redis.endpoint.security?.certificates, upstream.security?.certificates] {
            if let file = certificates?.files.identity?.certificate, let end = certificates?.end { ends[file] = end }
        }
        return [
            MetricFamily(
                "tollgate_tls_certificate_not_after_seconds", .gauge,
                "When a certificate that others are shown ends, in seconds since 1970.", by: "file",
                counted: ends.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        ]
    }
}
