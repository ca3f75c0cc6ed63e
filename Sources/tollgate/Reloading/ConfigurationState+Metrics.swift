// SPDX-License-Identifier: Apache-2.0

import Octets
import Telemetry

extension ConfigurationState {
    var metrics: [MetricFamily] {
        let report = report
        return [
            MetricFamily(
                "tollgate_config_last_reload_success", .gauge,
                "1 unless the last attempt to change the configuration failed.", report.isLastReloadGood ? 1 : 0),
            MetricFamily(
                "tollgate_config_last_reload_timestamp_seconds", .gauge, "When that was; absent before the first.",
                report.lastReload.map { [MetricFamily.Sample([], .nanoseconds($0.at.nanosecondsSince1970))] } ?? []),
            MetricFamily(
                "tollgate_config_info", .gauge, "1, by the first 16 digits of the SHA-256 of the file in force.",
                by: "hash", counted: [(report.hash ?? "", 1)]),
        ]
    }
}

extension WallTime {
    fileprivate var nanosecondsSince1970: Int { microsecondsSince1970 * 1_000 }
}
