// SPDX-License-Identifier: Apache-2.0

import Admission
import TLS
import Telemetry

/// The loops' reports added up.
struct ProxyMetrics {
    private var requests: SeriesTable
    private var operations: SeriesTable
    private var reasons = [Int](repeating: 0, count: Reason.allCases.count)
    private var headerFailures = [Int](repeating: 0, count: ProxyHeaderFailure.allCases.count)
    private var handshakeFailures = [Int](repeating: 0, count: FailedHandshake.allCases.count)
    private var admission = Histogram(.ofParts)
    private var upstream = Histogram(.ofParts)
    private var inFlight = 0
    private var streams = 0
    private var connections = 0
    private var gates = GateTotals()
    private var commandsInFlight = 0
    private var breakers: [Breaker.State: Int] = [:]
    private var caches = GateStanding.Caches()
    private var pool = UpstreamTally()
    private let loops: Int
    private let loopsWithRedis: Int
    private let unheard: Int
    private let droppedLines: Int

    /// - Parameter order: which combinations have a series of their own.
    init(_ round: LoopReports.Round, droppedLines: Int, _ order: SeriesOrder) {
        (loops, unheard) = (round.reports.count, round.unheard)
        self.droppedLines = droppedLines
        let reports = round.reports.compactMap(\.self)
        loopsWithRedis = reports.count { $0.standing.outage == nil }
        (requests, operations) = order.sum(of: reports)
        for report in reports { add(report) }
    }

    private mutating func add(_ report: LoopReport) {
        for (index, count) in report.metrics.reasons.enumerated() { reasons[index] += count }
        for (index, count) in report.metrics.headerFailures.enumerated() { headerFailures[index] += count }
        for (index, count) in report.metrics.handshakeFailures.enumerated() { handshakeFailures[index] += count }
        admission += report.metrics.admission
        upstream += report.metrics.upstream
        inFlight += report.metrics.inFlight
        streams += report.metrics.streams
        connections += report.connections
        gates += report.gate
        commandsInFlight += report.standing.commandsInFlight
        breakers[report.standing.breaker, default: 0] += 1
        caches.keys += report.standing.caches.keys
        caches.organizations += report.standing.caches.organizations
        caches.unknownKeys += report.standing.caches.unknownKeys
        caches.addresses += report.standing.caches.addresses
        pool = pool + report.pool
    }

    var families: [MetricFamily] { ofRequests + ofAdmission + ofRedis + ofProcess }

    private var ofRequests: [MetricFamily] {
        [
            MetricFamily(
                "http_server_request_duration_seconds", .histogram,
                "Time from a request's head to the end of its answer, streams included.",
                requests.series.map { .init(RequestLabels.labels(of: $0.key), .histogram($0.histogram)) }),
            MetricFamily(
                "mcp_server_operation_duration_seconds", .histogram,
                "The same of MCP requests, by what their first message asks for.",
                operations.series.map { .init(MessageLabels.labels(of: $0.key), .histogram($0.histogram)) }),
            MetricFamily(
                "tollgate_refusals_total", .counter,
                "Requests that ended for a reason that the access log names.", by: "reason",
                counted: Reason.allCases.map { ($0.word.description, reasons[$0.rawValue]) }),
            MetricFamily(
                "tollgate_upstream_duration_seconds",
                "Time from sending a request to the handler to the head of its answer.", upstream),
            MetricFamily("tollgate_requests_in_flight", .gauge, "Requests without a complete answer.", inFlight),
            MetricFamily("tollgate_streams", .gauge, "Event streams and WebSocket connections that are open.", streams),
            MetricFamily("tollgate_connections", .gauge, "Connections of clients.", connections),
            MetricFamily(
                "tollgate_proxy_header_failures_total", .counter,
                "Connections that were closed because no PROXY header said whose they are.", by: "reason",
                counted: ProxyHeaderFailure.allCases.map { ($0.word, headerFailures[$0.rawValue]) }),
            MetricFamily(
                "tollgate_tls_handshake_failures_total", .counter, "TLS handshakes of clients that failed.",
                by: "reason",
                counted: FailedHandshake.allCases.map { ("\($0)", handshakeFailures[$0.rawValue]) }),
            MetricFamily(
                "tollgate_upstream_connections", .gauge, "Connections to the handler, those of streams apart.",
                by: "state",
                counted: [("connecting", pool.connecting), ("idle", pool.idle), ("busy", pool.busy)]),
        ]
    }

    private var ofAdmission: [MetricFamily] {
        let keys = gates.decisions.keys
        return [
            MetricFamily(
                "tollgate_decisions_total", .counter,
                "Decisions by policy; near is an allow that left a fifth of the capacity or less.", decisions),
            MetricFamily(
                "tollgate_admission_duration_seconds", "Time from a request's head to the decision about it.",
                admission),
            MetricFamily(
                "tollgate_lookups_total", .counter, "How keys were found.", by: "outcome",
                counted: [
                    ("cached", keys.recordHits), ("cached_unknown", keys.unknownFromCache), ("redis", keys.lookups),
                    ("reloaded", keys.loads), ("refused", keys.lookupsRefused),
                ]),
            MetricFamily(
                "tollgate_revocations_forgotten_total", .counter,
                "Records by which a key holds that was seen revoked: the database has gone back in time.",
                keys.revocationsForgotten),
            MetricFamily(
                "tollgate_database_went_back_total", .counter,
                "Organizations read with fewer changes than were seen before: the database has gone back in time.",
                keys.wentBack),
            MetricFamily(
                "tollgate_cache_entries", .gauge, "Entries in the caches of all loops.", by: "cache",
                counted: [
                    ("keys", caches.keys), ("organizations", caches.organizations),
                    ("unknown_keys", caches.unknownKeys), ("addresses", caches.addresses),
                ]),
            MetricFamily(
                "tollgate_usage_lost_total", .counter, "Calls missing, or perhaps missing, from the usage counters.",
                gates.decisions.usageLost + gates.decisions.usageDropped),
            MetricFamily(
                "tollgate_corrections_lost_total", .counter,
                "Refunds and later charges that are missing, or perhaps missing, from the buckets.",
                gates.redis.correctionsLost),
        ]
    }

    private var decisions: [MetricFamily.Sample] {
        gates.policies.sorted { $0.key < $1.key }.flatMap { name, counters in
            [
                ("allow", counters.allowed - counters.nearLimit), ("deny", counters.denied),
                ("near", counters.nearLimit), ("shadow_deny", counters.wouldHaveDenied), ("open", counters.open),
                ("local", counters.local), ("stale", counters.stale),
            ].filter { $0.1 > 0 }.map { result, count in
                .init([.init("policy", name), .init("result", result)], .count(count))
            }
        }
    }

    private var ofRedis: [MetricFamily] {
        [
            MetricFamily(
                "tollgate_redis_up", .gauge, "1 while every loop has Redis to decide by, else 0.",
                loopsWithRedis == loops ? 1 : 0),
            MetricFamily(
                "tollgate_redis_breaker_state", .gauge, "Loops by the state of their circuit breaker for Redis.",
                by: "state", counted: Breaker.State.allCases.map { ($0.rawValue, breakers[$0, default: 0]) }),
            MetricFamily(
                "tollgate_redis_duration_seconds", "Time from a question to Redis to its answer.",
                gates.redis.durations),
            MetricFamily(
                "tollgate_redis_reconnects_total", .counter, "Connections to Redis made again.", gates.reconnects),
            MetricFamily(
                "tollgate_redis_timeouts_total", .counter, "Decisions that Redis had no answer for in time.",
                gates.redis.timeouts),
            MetricFamily(
                "tollgate_redis_commands_in_flight", .gauge, "Commands that Redis has not answered.",
                commandsInFlight),
        ]
    }

    private var ofProcess: [MetricFamily] {
        [
            MetricFamily(
                "tollgate_log_dropped_total", .counter, "Lines of the access log that were dropped.", droppedLines),
            MetricFamily("tollgate_loops", .gauge, "Event loops.", loops),
            MetricFamily(
                "tollgate_loops_unheard", .gauge,
                "Loops that did not answer this scrape within a second: their numbers are those of an earlier one.",
                unheard),
        ]
    }
}
