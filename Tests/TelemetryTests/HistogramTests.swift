// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct HistogramTests {
    @Test(arguments: [(0, 0), (1, 0), (5_000_000, 0), (5_000_001, 1), (10_000_000_000, 13), (10_000_000_001, 14)])
    func aValueBelongsToTheFirstBoundItIsNotBeyond(value: Int, bucket: Int) {
        var histogram = Histogram(.ofRequests)
        histogram.observe(nanoseconds: Int64(value))
        #expect(histogram.counts.firstIndex(of: 1) == bucket)
        #expect((histogram.count, histogram.sum) == (1, value))
    }

    @Test func aClockSetBackCountsAsNoTime() {
        var histogram = Histogram(.ofParts)
        histogram.observe(nanoseconds: -7)
        #expect((histogram.counts[0], histogram.sum) == (1, 0))
    }

    @Test func loopsAddUp() {
        var (sum, one) = (Histogram(.ofParts), Histogram(.ofParts))
        one.observe(nanoseconds: 60_000)
        sum += one
        sum += one
        #expect((sum.counts[1], sum.sum, sum.count) == (2, 120_000, 2))
    }
}

@Suite struct SeriesTableTests {
    private static let other = UInt64.max

    @Test func eachCombinationCountsApart() {
        var table = SeriesTable(.ofRequests, other: Self.other)
        for key: UInt64 in [7, 9, 7] { table.observe(nanoseconds: 6_000_000, of: key) }
        #expect(table.series.map(\.key) == [7, 9])
        #expect(table.series.map(\.histogram.counts[1]) == [2, 1])
        #expect(table.series.map(\.histogram.sum) == [12_000_000, 6_000_000])
    }

    @Test func beyondTheBoundAllCountAsOne() {
        var table = SeriesTable(.ofRequests, other: Self.other)
        for key: UInt64 in 0..<100_000 { table.observe(nanoseconds: 1, of: key) }
        #expect(table.count == SeriesTable.mostCombinations)
        #expect(table.count * 17 <= 2_000)
        #expect(table.series.last?.key == Self.other)
        #expect(table.series.last?.histogram.count == 100_000 - 116)
        #expect(table.series.dropLast().allSatisfy { $0.histogram.count == 1 })
    }

    /// Whoever can ask can be refused in as many ways.
    @Test func aFloodOfMinorOnesLeavesRoomForOthers() {
        var table = SeriesTable(.ofRequests, other: Self.other) { $0 >= 1_000 }
        for key: UInt64 in 1_000..<2_000 { table.observe(nanoseconds: 1, of: key) }
        for key: UInt64 in 0..<50 { table.observe(nanoseconds: 1, of: key) }
        let counts = Dictionary(uniqueKeysWithValues: table.series.map { ($0.key, $0.histogram.count) })
        #expect((0..<50).allSatisfy { counts[UInt64($0)] == 1 })
        #expect(counts[Self.other] == 1_000 - SeriesTable.mostMinor)
        var sum = SeriesTable(.ofRequests, other: Self.other) { $0 >= 1_000 }
        sum.add(table)
        #expect(sum.count == table.count)
    }

    /// What was told under its own name once is told so for good.
    @Test func noCombinationGoesBackward() {
        var (one, two) = (SeriesTable(.ofRequests, other: Self.other), SeriesTable(.ofRequests, other: Self.other))
        for key: UInt64 in 0..<100 { one.observe(nanoseconds: 1, of: key) }
        var sum = SeriesTable(.ofRequests, other: Self.other)
        sum.add(one)
        sum.add(two)
        for key: UInt64 in 100..<300 { two.observe(nanoseconds: 1, of: key) }
        var next = sum.emptied
        next.add(two)
        next.add(one)
        let counts = Dictionary(uniqueKeysWithValues: next.series.map { ($0.key, $0.histogram.count) })
        #expect((0..<100).allSatisfy { counts[UInt64($0)] == 1 })
        #expect(counts.values.reduce(0, +) == 300)
    }
}
