// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis
import Testing

@testable import Proxy

@Suite struct RestTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var rest = Rest(at: Self.start)

    /// Whether it rests after a tick so many milliseconds after the start.
    private mutating func rests(at milliseconds: Int64, hasNothingToDo: Bool = true) -> Bool {
        rest.tick(at: Self.start + .milliseconds(milliseconds), hasNothingToDo: hasNothingToDo)
        return rest.isResting
    }

    @Test mutating func beginsWhenNobodyHasBeenThereForLong() {
        #expect(!rests(at: 4_990))
        #expect(rest.interval == TickPace.interval)
        #expect(rests(at: 5_000))
        #expect(rest.interval == .seconds(1))
    }

    @Test mutating func countsFromTheLastWhoWasThere() {
        rest.isOccupied(at: Self.start + .seconds(60))
        #expect(!rests(at: 64_990))
        #expect(rests(at: 65_000))
    }

    @Test mutating func waitsForWhatIsStillToDo() {
        #expect(!rests(at: 10_000, hasNothingToDo: false))
        #expect(rests(at: 10_010))
        // A probe is under way.
        #expect(!rests(at: 10_510, hasNothingToDo: false))
        #expect(rests(at: 10_520))
    }

    @Test mutating func endsAtOnce() {
        #expect(rests(at: 5_000))
        rest.end(at: Self.start + .milliseconds(5_100))
        #expect(!rest.isResting && rest.interval == TickPace.interval)
        #expect(!rests(at: 10_090))
        #expect(rests(at: 10_100))
    }
}
