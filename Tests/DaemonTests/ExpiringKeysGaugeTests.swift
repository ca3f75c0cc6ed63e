// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Telemetry
import Testing

@testable import Directory
@testable import tollgate

@Suite struct ExpiringKeysGaugeTests {
    private func shown(_ gauge: ExpiringKeysGauge) -> [MetricFamily.Sample] { gauge.family.samples }

    @Test func aFigureIsShownForItsLifetime() throws {
        let (start, elapsed) = (ContinuousClock.now, NIOLockedValueBox(Duration.zero))
        let gauge = ExpiringKeysGauge { start + elapsed.withLockedValue { $0 } }
        #expect(gauge.family.name == "tollgate_keys_expiring")
        #expect(shown(gauge).isEmpty)
        let keys = try #require(ExpiringKeys(parsing: "24h=0 7d=2 30d=5"))
        gauge.hear((keys: keys, lasting: .seconds(90)))
        elapsed.withLockedValue { $0 = .milliseconds(89_999) }
        #expect(
            shown(gauge) == [
                .init([.init("within", "24h")], .count(0)), .init([.init("within", "7d")], .count(2)),
                .init([.init("within", "30d")], .count(5)),
            ])
        elapsed.withLockedValue { $0 = .seconds(90) }
        #expect(shown(gauge).isEmpty)
        gauge.hear((keys: keys, lasting: .seconds(1)))
        #expect(shown(gauge).count == 3)
        gauge.hear(nil)
        #expect(shown(gauge).isEmpty)
    }
}
