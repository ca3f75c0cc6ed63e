// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Admission

@Suite struct LateDecisionsTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func at(_ milliseconds: Int64) -> NIODeadline { start + .milliseconds(milliseconds) }

    private func told(_ tally: inout LateDecisions.Tally, at milliseconds: Int64) -> String? {
        tally.take(at: at(milliseconds)).map { "\($0.count) up to \($0.longest.nanoseconds / 1_000_000) ms" }
    }

    @Test func areToldASecondAfterTheFirst() {
        var tally = LateDecisions.Tally()
        #expect(told(&tally, at: 0) == nil)
        tally.add(.milliseconds(50), at: at(0))
        // The answer comes after it was given up, which is what tells how slow Redis was.
        tally.stretch(to: .milliseconds(60))
        #expect(told(&tally, at: 999) == nil)
        tally.add(.milliseconds(55), at: at(999))
        #expect(told(&tally, at: 1_000) == "2 up to 60 ms")
        #expect(told(&tally, at: 60_000) == nil)
    }

    @Test func areToldAtMostEveryThirtySeconds() {
        var tally = LateDecisions.Tally()
        var lines: [String] = []
        // One every 100 ms for a minute, each a little later.
        for step in 0..<600 as Range<Int64> {
            tally.add(.milliseconds(50 + step), at: at(step * 100))
            if let line = told(&tally, at: step * 100) { lines.append(line) }
        }
        #expect(
            lines == [
                "11 up to 60 ms", "300 up to 360 ms",
            ])
    }

    @Test func anAnswerToNobodyIsNone() {
        var tally = LateDecisions.Tally()
        tally.stretch(to: .seconds(3))
        #expect(told(&tally, at: 60_000) == nil)
        tally.add(.milliseconds(50), at: at(60_000))
        #expect(told(&tally, at: 61_000) == "1 up to 50 ms")
    }

    @Test func anOutageTellsOfItself() {
        var tally = LateDecisions.Tally()
        tally.add(.milliseconds(50), at: at(0))
        tally.forget()
        #expect(told(&tally, at: 60_000) == nil)
    }
}
