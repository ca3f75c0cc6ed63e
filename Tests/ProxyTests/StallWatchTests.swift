// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct StallWatchTests {
    struct Case: Sendable {
        /// At each look.
        var written: [Int]
        /// Of that.
        var waiting: [Int]
        /// For how long nothing was taken then.
        var seconds: Int64
    }

    static let cases = [
        Case(written: [10, 10, 10], waiting: [10, 10, 10], seconds: 2),
        // One byte is enough.
        Case(written: [10, 10, 10], waiting: [10, 10, 9], seconds: 0),
        // More was written, and nothing taken.
        Case(written: [10, 20, 30], waiting: [10, 20, 30], seconds: 2),
        // TLS adds to what waits with each write, and the client has taken nothing.
        Case(written: [10, 20, 30, 30], waiting: [32, 64, 96, 96], seconds: 3),
        // Then it takes a little of that.
        Case(written: [10, 20, 30], waiting: [32, 64, 70], seconds: 0),
    ]

    @Test(arguments: cases)
    func nothingTakenIsNothingTaken(looks: Case) {
        var watch = HTTP1Connection.StallWatch()
        watch.begin()
        var taken = TimeAmount.zero
        for (written, waiting) in zip(looks.written, looks.waiting) {
            watch.written = written
            taken = watch.look(waiting: waiting, after: .seconds(1))
        }
        #expect(taken == .seconds(looks.seconds))
    }

    @Test func whatIsWrittenAnewIsWatchedAnew() {
        var watch = HTTP1Connection.StallWatch()
        watch.written = 10
        for _ in 0..<3 { _ = watch.look(waiting: 10, after: .seconds(1)) }
        watch.begin()
        #expect(watch.look(waiting: 10, after: .seconds(1)) == .zero)
    }
}
