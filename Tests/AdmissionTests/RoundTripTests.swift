// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Admission

@Suite struct RoundTripTests {
    private static let budget = TimeAmount.milliseconds(250)

    /// Samples in ms of a budget of 250, and whether the way is too long after each.
    @Test(
        arguments: [
            ([1, 62, 1], [false, false, false]),
            // Three in a row; a busy moment is none.
            ([63, 63, 63], [false, false, true]), ([400, 90, 1, 90, 90], [false, false, false, false, false]),
            // And until one is in time.
            ([63, 63, 63, 90, 62, 63], [false, false, true, true, false, false]),
        ] as [([Int64], [Bool])])
    func threeInARowAreLong(samples: [Int64], isLong: [Bool]) {
        var trip = RoundTrip()
        let seen = samples.map { sample in
            trip.note(.milliseconds(sample), budget: Self.budget)
            return trip.isLong
        }
        #expect(seen == isLong)
    }

    @Test func theQuickestIsTold() {
        var trip = RoundTrip()
        for sample in [90, 70, 80] as [Int64] { trip.note(.milliseconds(sample), budget: Self.budget) }
        #expect(trip.shortest == .milliseconds(70))
        #expect(trip.isLong)
    }

    /// Until it is known; then a probe will tell of a change.
    @Test func inDoubtAnotherSampleIsWanted() {
        var trip = RoundTrip()
        let doubts = ([1, 90, 90, 90, 1, 90] as [Int64]).map { sample in
            trip.note(.milliseconds(sample), budget: Self.budget)
            return trip.isInDoubt
        }
        #expect(doubts == [false, true, true, false, false, true])
    }
}
