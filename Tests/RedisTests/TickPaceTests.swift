// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct TickPaceTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// Milliseconds after the first tick, and what each is to do: how far deadlines move, and whether they end then.
    @Test(
        arguments: [
            ([0, 10, 20, 30], [(0, true), (0, true), (0, true), (0, true)]),
            // So late may a turn come.
            ([0, 35, 70], [(0, true), (0, true), (0, true)]),
            ([0, 36, 46], [(0, true), (26, false), (0, true)]),
            ([0, 60_000, 60_010], [(0, true), (59_990, false), (0, true)]),
            // However often it stands still, time goes on.
            ([0, 70, 140, 210, 220], [(0, true), (60, false), (60, true), (60, false), (0, true)]),
        ] as [([Int64], [(Int64, Bool)])])
    func movesDeadlinesByTheExcess(ticks: [Int64], expected: [(Int64, Bool)]) {
        var pace = TickPace()
        let found = ticks.map { pace.tick(at: start + .milliseconds($0), having: .zero) }
        #expect(found.map(\.excess) == expected.map { .milliseconds($0.0) })
        #expect(found.map(\.expires) == expected.map(\.1))
    }

    /// Milliseconds after the first tick, those of them in which the loop worked, and how far deadlines move.
    @Test(
        arguments: [
            ([0, 70, 5_000], [0, 60, 4_980], [0, 0, 0]),
            ([0, 100, 1_000], [0, 30, 900], [0, 60, 0]),
        ] as [([Int64], [Int64], [Int64])])
    func whoKeepsItBusyStretchesNothing(ticks: [Int64], worked: [Int64], expected: [Int64]) {
        var pace = TickPace()
        let found = zip(ticks, worked).map {
            pace.tick(at: start + .milliseconds($0), having: .seconds(7) + .milliseconds($1))
        }
        #expect(found.map(\.excess) == expected.map { .milliseconds($0) })
        #expect(found.allSatisfy { $0.expires == ($0.excess == .zero) })
    }

    @Test func onlyWorkIsWork() {
        let before = TimeAmount.workedByThisThread
        var sum = 0
        while TimeAmount.workedByThisThread - before < .milliseconds(5) { sum &+= 1 }
        #expect(sum > 0)
    }

    @Test func aTickAfterARestIsNotLate() {
        var pace = TickPace()
        _ = pace.tick(at: start, having: .zero)
        pace.rest()
        #expect(pace.tick(at: start + .seconds(5), having: .zero) == TickPace.Tick(excess: .zero, expires: true))
        #expect(
            pace.tick(at: start + .seconds(10), having: .zero)
                == TickPace.Tick(excess: .seconds(5) - TickPace.interval, expires: false))
    }
}
