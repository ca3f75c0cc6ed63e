// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct ExpositionTests {
    private static var histogram: Histogram {
        var histogram = Histogram(HistogramBounds(milliseconds: [5, 1_000]))
        for value: Int64 in [1_000_000, 6_000_000, 2_500_000_000] { histogram.observe(nanoseconds: value) }
        return histogram
    }

    private static let families = [
        MetricFamily(
            "tollgate_refusals_total", .counter, #"Says "why", in \ words"#, by: "reason",
            counted: [("missing", 3), ("never", 0), ("a\"b\\c\nd", 1)]),
        MetricFamily("tollgate_streams", .gauge, "Streams", 0),
        MetricFamily(
            "took_seconds", .histogram, "Time",
            [MetricFamily.Sample([MetricFamily.Label("route", "/x")], .histogram(histogram))]),
        MetricFamily("plain_seconds", "Time", histogram),
        MetricFamily(
            "process_cpu_seconds_total", .counter, "CPU", [MetricFamily.Sample([], .nanoseconds(1_020_000_000))]),
    ]

    @Test func writesTheTextFormat() {
        #expect(
            Exposition.text.render(Self.families) == #"""
                # HELP tollgate_refusals_total Says "why", in \\ words
                # TYPE tollgate_refusals_total counter
                tollgate_refusals_total{reason="missing"} 3
                tollgate_refusals_total{reason="a\"b\\c\nd"} 1
                # HELP tollgate_streams Streams
                # TYPE tollgate_streams gauge
                tollgate_streams 0
                # HELP took_seconds Time
                # TYPE took_seconds histogram
                took_seconds_bucket{route="/x",le="0.005"} 1
                took_seconds_bucket{route="/x",le="1"} 2
                took_seconds_bucket{route="/x",le="+Inf"} 3
                took_seconds_sum{route="/x"} 2.507
                took_seconds_count{route="/x"} 3
                # HELP plain_seconds Time
                # TYPE plain_seconds histogram
                plain_seconds_bucket{le="0.005"} 1
                plain_seconds_bucket{le="1"} 2
                plain_seconds_bucket{le="+Inf"} 3
                plain_seconds_sum 2.507
                plain_seconds_count 3
                # HELP process_cpu_seconds_total CPU
                # TYPE process_cpu_seconds_total counter
                process_cpu_seconds_total 1.02

                """#)
    }

    @Test func writesOpenMetrics() {
        #expect(
            Exposition.openMetrics.render(Self.families) == #"""
                # HELP tollgate_refusals Says \"why\", in \\ words
                # TYPE tollgate_refusals counter
                tollgate_refusals_total{reason="missing"} 3
                tollgate_refusals_total{reason="a\"b\\c\nd"} 1
                # HELP tollgate_streams Streams
                # TYPE tollgate_streams gauge
                tollgate_streams 0
                # HELP took_seconds Time
                # TYPE took_seconds histogram
                took_seconds_bucket{route="/x",le="0.005"} 1
                took_seconds_bucket{route="/x",le="1.0"} 2
                took_seconds_bucket{route="/x",le="+Inf"} 3
                took_seconds_sum{route="/x"} 2.507
                took_seconds_count{route="/x"} 3
                # HELP plain_seconds Time
                # TYPE plain_seconds histogram
                plain_seconds_bucket{le="0.005"} 1
                plain_seconds_bucket{le="1.0"} 2
                plain_seconds_bucket{le="+Inf"} 3
                plain_seconds_sum 2.507
                plain_seconds_count 3
                # HELP process_cpu_seconds CPU
                # TYPE process_cpu_seconds counter
                process_cpu_seconds_total 1.02
                # EOF

                """#)
    }

    @Test(arguments: [
        ([], Exposition.text),
        (["*/*"], .text),
        (["text/html"], .text),
        (["application/openmetrics-text"], .openMetrics),
        (["application/openmetrics-text; version=1.0.0; charset=utf-8"], .openMetrics),
        (["application/openmetrics-text;version=2.0.0"], .text),
        (["application/openmetrics-text;q=0"], .text),
        (["application/openmetrics-text;q=0.4, text/plain;version=0.0.4;q=0.5"], .text),
        (["text/plain;version=0.0.4;q=0.5", "Application/OpenMetrics-Text;Version=\"1.0.0\";Q=0.5"], .openMetrics),
        (["application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"], .openMetrics),
        (["application/openmetrics-text;q=nonsense"], .text),
    ])
    func goesByWhatTheScraperWouldRatherHave(accept: [String], format: Exposition) {
        #expect(Exposition(accepting: accept) == format)
    }
}

@Suite struct LabelNamesTests {
    @Test func aTextKeepsItsNumber() {
        let names = LabelNames()
        let number = names.number(of: "/a")
        #expect(names.number(of: "/b") != number)
        #expect(names.number(of: "/a") == number)
        #expect(names.text(of: number) == "/a")
        #expect(names.text(of: LabelNames.none).isEmpty)
        #expect(names.number(of: "other") == LabelNames.other)
    }

    @Test func thereIsABound() {
        let names = LabelNames()
        for index in 0..<LabelNames.most { _ = names.number(of: "\(index)") }
        #expect(names.number(of: "one more") == LabelNames.other)
        #expect(names.number(of: "7") != LabelNames.other)
    }
}
