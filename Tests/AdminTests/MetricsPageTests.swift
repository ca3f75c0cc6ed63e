// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import Telemetry
import Testing

@testable import Admin

@Suite struct MetricsPageTests {
    /// Counts how often it was asked, and answers when it is told to.
    private final class Source: Sendable {
        private let count = NIOLockedValueBox(0)
        private let arrivals = AsyncStream.makeStream(of: Void.self)
        private let releases = AsyncStream.makeStream(of: Void.self)

        var asked: Int { count.withLockedValue { $0 } }

        @Sendable func families() async -> [MetricFamily] {
            let number = count.withLockedValue { count in
                count += 1
                return count
            }
            arrivals.continuation.yield()
            for await _ in releases.stream.prefix(1) {}
            return [MetricFamily("asked", .gauge, "How often.", number)]
        }

        func reached() async {
            for await _ in arrivals.stream.prefix(1) {}
        }

        func release() {
            releases.continuation.yield()
        }
    }

    private static func page(_ number: Int, _ end: String = "") -> ByteBuffer {
        ByteBuffer(string: "# HELP asked How often.\n# TYPE asked gauge\nasked \(number)\n\(end)")
    }

    @Test func aThousandScrapesShareThePageAfterTheOneUnderWay() async {
        let source = Source()
        let metrics = MetricsPage(.text, of: source.families)
        let first = metrics.page
        await source.reached()
        let others = (0..<1000).map { _ in metrics.page }
        source.release()
        #expect(await first.value == Self.page(1))
        await source.reached()
        source.release()
        for other in others { #expect(await other.value == Self.page(2)) }
        #expect(source.asked == 2)
        // Whoever comes later is told of later.
        let last = metrics.page
        await source.reached()
        source.release()
        #expect(await last.value == Self.page(3))
    }

    @Test(arguments: [(Exposition.text, ""), (.openMetrics, "# EOF\n")])
    func eachFormHasItsPage(form: Exposition, end: String) async {
        let source = Source()
        source.release()
        #expect(await MetricsPage(form, of: source.families).page.value == Self.page(1, end))
    }
}
