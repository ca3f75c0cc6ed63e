// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct LogSamplingTests {
    private var random: Xoshiro256 {
        var seed = Counter()
        return Xoshiro256(seededBy: &seed)
    }

    @Test func writesAllWithoutADraw() {
        var random = random
        var untouched = random
        for _ in 0..<100 { #expect(LogSampling.all.draw(&random) == .written) }
        #expect(random.next() == untouched.next())
        #expect(LogSampling(share: 10_000) == .all)
        #expect(LogSampling(share: 20_000) == .all)
    }

    /// Share, and the weight of a line in thousandths.
    @Test(arguments: [(1, 10_000_000), (100, 100_000), (1_000, 10_000), (3_000, 3_333), (5_000, 2_000), (9_999, 1_000)])
    func chosenLinesStandForAll(_ share: Int, _ weight: Int) {
        var random = random
        let sampling = LogSampling(share: share)
        var chosen = 0
        let draws = 400_000
        for _ in 0..<draws {
            switch sampling.draw(&random) {
            case .chosen(let its):
                #expect(its == weight)
                chosen += 1
            case .left: break
            case .written: Issue.record("Written without a weight")
            }
        }
        let expected = Double(draws * share) / 10_000
        // Five standard deviations of the binomial distribution.
        let bound = 5 * (expected * (1 - Double(share) / 10_000)).squareRoot()
        #expect(abs(Double(chosen) - expected) <= bound)
    }

    /// There is no share of nothing: the log would be off, which is another setting.
    @Test func neverLeavesOutAll() {
        #expect(LogSampling(share: 0) == LogSampling(share: 1))
        #expect(LogSampling(share: -5) == LogSampling(share: 1))
    }
}

private struct Counter: RandomNumberGenerator {
    private var count: UInt64 = 0

    mutating func next() -> UInt64 {
        count += 1
        return count &* 0x9E37_79B9_7F4A_7C15
    }
}
