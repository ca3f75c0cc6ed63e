// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

@Suite struct TickerTests {
    private let eventLoop = EmbeddedEventLoop()

    @Test func ticksAtItsIntervalUntilItIsStopped() {
        var ticks = 0
        let ticker = Ticker(on: eventLoop, every: .milliseconds(10)) { ticks += 1 }
        eventLoop.advanceTime(by: .seconds(1))
        #expect(ticks == 0)
        ticker.start()
        eventLoop.advanceTime(by: .milliseconds(9))
        #expect(ticks == 0)
        eventLoop.advanceTime(by: .milliseconds(91))
        #expect(ticks == 10)
        ticker.stop()
        eventLoop.advanceTime(by: .seconds(1))
        #expect(ticks == 10)
    }

    @Test func ticksFurtherApartAfterTheNextAndCloserAtOnce() {
        var ticks = 0
        let ticker = Ticker(on: eventLoop, every: .milliseconds(10)) { ticks += 1 }
        ticker.start()
        ticker.tick(every: .milliseconds(500))
        eventLoop.advanceTime(by: .milliseconds(10))
        #expect(ticks == 1)
        eventLoop.advanceTime(by: .milliseconds(499))
        #expect(ticks == 1)
        eventLoop.advanceTime(by: .milliseconds(101))
        #expect(ticks == 2)
        ticker.tick(every: .milliseconds(10))
        eventLoop.advanceTime(by: .milliseconds(9))
        #expect(ticks == 2)
        eventLoop.advanceTime(by: .milliseconds(91))
        #expect(ticks == 12)
    }

    @Test func mayBeHastenedByItsOwnTick() {
        var ticks = 0
        var ticker: Ticker?
        ticker = Ticker(on: eventLoop, every: .milliseconds(500)) {
            ticks += 1
            ticker?.tick(every: .milliseconds(ticks % 2 == 0 ? 10 : 500))
        }
        ticker?.start()
        // At 500, 1000, 1010, 1510, 1520, 2020.
        eventLoop.advanceTime(by: .milliseconds(2_020))
        #expect(ticks == 6)
        ticker?.stop()
    }

    @Test func mayBeStoppedByItsOwnTick() {
        var ticks = 0
        var ticker: Ticker?
        ticker = Ticker(on: eventLoop, every: .milliseconds(10)) {
            ticks += 1
            if ticks == 3 { ticker?.stop() }
        }
        ticker?.start()
        eventLoop.advanceTime(by: .seconds(1))
        #expect(ticks == 3)
    }
}
