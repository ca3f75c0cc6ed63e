// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct BodyPaceTests {
    private static let began = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test(arguments: [(30, 30_720, true), (30, 30_719, false), (1, 1024, true), (1, 1023, false), (0, 0, true)])
    func aKibibyteASecondIsOwed(seconds: Int64, sent: Int, isKept: Bool) {
        let pace = BodyPace(received: 500, over: .seconds(seconds))
        #expect(pace.isKept(received: 500 + sent, at: Self.began) == isKept)
    }

    @Test func nothingIsOwedWhileTheHandlerTakesNothing() {
        var pace = BodyPace(received: 0, over: .seconds(30))
        pace.block(at: Self.began + .seconds(1))
        pace.block(at: Self.began + .seconds(5))
        #expect(pace.isKept(received: 11 * 1024, at: Self.began + .seconds(20)))
        pace.unblock(at: Self.began + .seconds(21))
        pace.unblock(at: Self.began + .seconds(25))
        #expect(pace.isKept(received: 10 * 1024, at: Self.began + .seconds(30)))
        #expect(!pace.isKept(received: 10 * 1024 - 1, at: Self.began + .seconds(30)))
    }

    /// The process stood still for an hour: the window is as long as ever.
    @Test func nothingIsOwedForAStandstill() {
        var pace = BodyPace(received: 0, over: .seconds(1))
        let now = Self.began + .hours(1)
        #expect(pace.isKept(received: 1024, at: now))
        #expect(!pace.isKept(received: 1023, at: now))
        pace.block(at: Self.began)
        #expect(pace.isKept(received: 0, at: now))
    }
}
