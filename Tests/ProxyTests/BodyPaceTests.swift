// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct BodyPaceTests {
    private static let began = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test(arguments: [(30, 30_720, true), (30, 30_719, false), (1, 1024, true), (1, 1023, false), (0, 0, true)])
    func aKibibyteASecondIsOwed(seconds: Int64, sent: Int, isKept: Bool) {
        let pace = BodyPace(received: 500, at: Self.began)
        #expect(pace.isKept(received: 500 + sent, at: Self.began + .seconds(seconds)) == isKept)
    }

    @Test func nothingIsOwedWhileTheHandlerTakesNothing() {
        var pace = BodyPace(received: 0, at: Self.began)
        pace.block(at: Self.began + .seconds(1))
        pace.block(at: Self.began + .seconds(5))
        #expect(pace.isKept(received: 1024, at: Self.began + .seconds(20)))
        pace.unblock(at: Self.began + .seconds(21))
        pace.unblock(at: Self.began + .seconds(25))
        #expect(pace.isKept(received: 10 * 1024, at: Self.began + .seconds(30)))
        #expect(!pace.isKept(received: 10 * 1024 - 1, at: Self.began + .seconds(30)))
    }
}
