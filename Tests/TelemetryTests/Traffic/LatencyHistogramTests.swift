// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct LatencyHistogramTests {
    @Test func bucketsFollowOnEachOther() {
        for bucket in 0..<(LatencyHistogram.bucketCount - 1) {
            let (start, next) = (LatencyHistogram.start(of: bucket), LatencyHistogram.start(of: bucket + 1))
            #expect(start < next)
            #expect(LatencyHistogram.bucket(of: Int64(start)) == bucket)
            #expect(LatencyHistogram.bucket(of: Int64(next) - 1) == bucket)
            // A quarter of a doubling: the middle is an eighth off at most.
            if bucket >= 4 { #expect(Double(next - start) <= 0.25 * Double(start)) }
        }
    }

    @Test(arguments: [-1, 0, .min] as [Int64]) func noTimeIsTheFirstBucket(nanoseconds: Int64) {
        #expect(LatencyHistogram.bucket(of: nanoseconds) == 0)
    }

    @Test func whatIsLongerThanAllIsInTheLastBucket() {
        #expect(LatencyHistogram.bucket(of: .max) == LatencyHistogram.bucketCount - 1)
    }

    @Test func percentilesAreGoodToAnEighth() throws {
        var histogram = LatencyHistogram()
        for microseconds in 1...10_000 { histogram.observe(nanoseconds: Int64(microseconds) * 1_000) }
        let percentiles = try #require(histogram.percentiles)
        #expect(abs(percentiles.p50 - 5_000) < 5_000 / 8)
        #expect(abs(percentiles.p99 - 9_900) < 9_900 / 8)
    }

    @Test func ofFewTheLongestIsThe99th() throws {
        var histogram = LatencyHistogram()
        for milliseconds in [1, 1, 1, 100] as [Int64] { histogram.observe(nanoseconds: milliseconds * 1_000_000) }
        let percentiles = try #require(histogram.percentiles)
        #expect(abs(percentiles.p50 - 1_000) < 125)
        #expect(abs(percentiles.p99 - 100_000) < 12_500)
    }

    @Test(arguments: [1, 25_001, 100_000, 2_000_000])
    func percentilesOfManyLieWithinTheirBucket(count: Int) throws {
        var (fine, coarse) = (LatencyHistogram(), Histogram(.ofParts))
        for _ in 0..<count {
            fine.observe(nanoseconds: 20_000)
            coarse.observe(nanoseconds: 20_000)
        }
        // 16.4 to 32.8 µs, and up to 50 µs.
        let ofFine = try #require(fine.percentiles)
        #expect((16...32).contains(ofFine.p50))
        #expect((ofFine.p50...32).contains(ofFine.p99))
        let ofCoarse = try #require(coarse.percentiles)
        #expect((24...25).contains(ofCoarse.p50))
        #expect((ofCoarse.p50...50).contains(ofCoarse.p99))
    }

    @Test func emptyHasNone() {
        var histogram = LatencyHistogram()
        #expect(histogram.percentiles == nil)
        histogram.observe(nanoseconds: 1)
        histogram.empty()
        #expect(histogram == LatencyHistogram())
        #expect(histogram.percentiles == nil)
    }

    @Test func sumsCountAll() {
        var (one, other, both) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
        for time in stride(from: 0, to: 1_000_000_000, by: 7_777_777) as StrideTo<Int64> {
            one.observe(nanoseconds: time)
            other.observe(nanoseconds: time * 3)
            both.observe(nanoseconds: time)
            both.observe(nanoseconds: time * 3)
        }
        one += other
        #expect(one == both)
    }

    /// Of Redis: beyond its last bound only the bound is known.
    @Test func histogramsOfMetricsHavePercentilesToo() throws {
        var earlier = Histogram(.ofParts)
        earlier.observe(nanoseconds: 40_000)
        var later = earlier
        for _ in 0..<10 { later.observe(nanoseconds: 200_000) }
        later.observe(nanoseconds: 60_000_000_000)
        let percentiles = try #require(later.since(earlier).percentiles)
        #expect(100..<250 ~= percentiles.p50)
        #expect(percentiles.p99 == 5_000_000)
        #expect(later.since(later).percentiles == nil)
    }
}
