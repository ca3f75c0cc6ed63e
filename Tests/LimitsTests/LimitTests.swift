// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing

@Suite struct LimitTests {
    @Test(arguments: [
        ("20/10s", 20, 10_000_000, 20), ("100/10s:200", 100, 10_000_000, 200), ("5/1m", 5, 60_000_000, 5),
        ("5/m", 5, 60_000_000, 5), ("7/500ms", 7, 500_000, 7), ("1/ms", 1, 1_000, 1), ("3/2h:1", 3, 7_200_000_000, 1),
        ("9/7d", 9, 604_800_000_000, 9), ("0/10s", 0, 10_000_000, 0),
    ])
    func reads(text: String, count: Int, period: Int, burst: Int) throws {
        #expect(
            try Limit(parsing: text) == Limit(count: count, periodMicroseconds: period, burst: burst))
    }

    @Test(arguments: [
        "", "20", "20/", "/10s", "20/10", "20/s10", "20/10x", "20 /10s", " 20/10s", "20/10s ", "+20/10s", "-1/10s",
        "020/10s", "20/010s", "20/10s:", "20/10s:x", "20/10s:5x", "20/10s:05", "2.5/10s", "20/10S", "20/10sec",
        "20/10s:5:5", "20/10min", "20/1s1s", "２０/10s",
    ])
    func refusesAnythingElse(text: String) {
        #expect(throws: LimitError.malformed(text)) { try Limit(parsing: text) }
    }

    @Test(arguments: [
        ("20/0s", LimitError.impossible("the period must be longer than 0")),
        ("0/10s:5", .impossible("a limit of 0 lets nothing through: leave the burst out")),
        ("5/10s:0", .impossible("a burst of 0 lets nothing through: say a limit of 0")),
        ("9007199254740993/s", .tooLarge("9007199254740993/s")),
        ("99999999999999999999999/s", .tooLarge("99999999999999999999999/s")),
        ("1/200000d", .tooLarge("1/200000d")),
        ("1/d:1000000", .burstDoesNotFit(largest: 34_749)),
        ("1/100000d", .rateDoesNotFit),
    ])
    func refusesTheImpossible(text: String, error: LimitError) {
        #expect(throws: error) { try Limit(parsing: text) }
    }

    @Test(arguments: ["20/10s", "100/10s:200", "5/m", "7/500ms", "1/d", "3/2h:1", "0/10s", "90/s"])
    func writesWhatItReads(text: String) throws {
        #expect(try Limit(parsing: text).description == text)
    }

    @Test func saysWhatWasExpected() {
        #expect(
            LimitError.malformed("x").description
                == "expected <count>/[<n>](ms|s|m|h|d)[:<burst>] such as 20/10s or 100/10s:200, got 'x'")
    }
}
