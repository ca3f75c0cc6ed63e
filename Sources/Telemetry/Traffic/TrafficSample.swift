// SPDX-License-Identifier: Apache-2.0

/// One second of all loops, as it is kept: what was counted, and its percentiles in place of its histograms.
package struct TrafficSample: Sendable, Equatable {
    package struct Route: Sendable, Equatable {
        /// Its pattern; empty where no route took the requests.
        package var pattern: String
        package var requests: Int
        package var denied: Int
        /// In µs.
        package var p99: Int?
    }

    package struct Policy: Sendable, Equatable {
        package var name: String
        package var counts: TrafficSecond.Policy
    }

    /// With Redis, or with the handler.
    package struct Exchanges: Sendable, Equatable {
        package var count = 0
        package var failed = 0
        package var latency: Percentiles?
    }

    /// Open at its end.
    package struct Gauges: Sendable, Equatable {
        package var connections = 0
        package var streams = 0

        package init(connections: Int = 0, streams: Int = 0) {
            self.connections = connections
            self.streams = streams
        }
    }

    /// Since 1970.
    package var at: Int
    package var outcomes = TrafficOutcomes()
    package var latency: Percentiles?
    package var policies: [Policy] = []
    package var routes: [Route] = []
    package var redis = Exchanges()
    package var handler = Exchanges()
    package var gauges: Gauges

    /// A quiet one.
    init(at second: Int, _ gauges: Gauges) {
        at = second
        self.gauges = gauges
    }

    init(_ counted: TrafficSecond, at second: Int, _ gauges: Gauges) {
        self.init(at: second, gauges)
        outcomes = counted.outcomes
        latency = counted.durations.percentiles
        policies = counted.policies.map { Policy(name: $0, counts: $1) }.sorted { $0.name < $1.name }
        routes = counted.routes.all.map { label, row in
            Route(
                pattern: LabelNames.ofProcess.text(of: label), requests: row.requests, denied: row.denied,
                p99: row.durations.percentiles?.p99)
        }
        redis = Exchanges(
            count: counted.redisDurations.count, failed: counted.withoutRedis,
            latency: counted.redisDurations.percentiles)
        handler = Exchanges(
            count: counted.handled.total, failed: counted.handled.failed, latency: counted.handlerDurations.percentiles)
    }
}
