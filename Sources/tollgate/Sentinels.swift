// SPDX-License-Identifier: Apache-2.0

import Admin
import Endpoints
import Redis
import Telemetry

extension Status.Topology {
    /// Nil where no sentinels are named.
    init?(of endpoint: RedisEndpoint) {
        guard let watch = PrimaryWatch.running(for: endpoint) else { return nil }
        let report = watch.report
        self.init(
            primary: report.primary.map { "\($0.address)" }, epoch: report.primary?.epoch,
            switches: PrimaryWatch.switches,
            sentinels: report.sentinels.map {
                Sentinel(
                    address: "\($0.address)", names: $0.primary.map { "\($0.address)" }, epoch: $0.primary?.epoch,
                    holdsItDown: $0.holdsItDown, error: $0.failure)
            })
    }
}

extension Readiness.Cause {
    /// The primary is known, and no failover would be followed; nil where that isn't so.
    init?(ofSentinelsAt endpoint: RedisEndpoint) {
        guard let report = PrimaryWatch.running(for: endpoint)?.report, report.primary != nil else { return nil }
        guard report.older == nil else {
            self.init(
                "older_primary",
                "Sentinels name an older primary than before, and are not followed. Set up anew? Restart the sidecar.")
            return
        }
        guard report.isBlind else { return nil }
        self.init("no_sentinel", "No Sentinel answers: a failover would go unnoticed. The log says since when.")
    }
}

enum SentinelMetrics {
    /// Without sentinels the second has no samples.
    static func families(of endpoint: RedisEndpoint) -> [MetricFamily] {
        let report = PrimaryWatch.running(for: endpoint)?.report
        let states = report.map { [("answering", $0.answering), ("silent", $0.sentinels.count - $0.answering)] } ?? []
        return [
            MetricFamily(
                "tollgate_redis_primary_switches_total", .counter,
                "Times that sentinels have led this sidecar to another primary.", PrimaryWatch.switches),
            MetricFamily(
                "tollgate_redis_sentinels", .gauge, "Sentinels that are asked, by whether they answer.", by: "state",
                counted: states),
        ]
    }
}
