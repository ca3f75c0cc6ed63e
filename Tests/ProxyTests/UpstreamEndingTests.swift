// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct UpstreamEndingTests {
    struct Case: Sendable {
        /// Octets that the handler hasn't taken, a second after another.
        var waiting: [Int]
        /// At these looks it had said something.
        var speaks: Set<Int> = []
        /// Looks until it is over; nil: it goes on.
        var looks: Int?
    }

    static let cases = [
        Case(waiting: [0], looks: 1),
        Case(waiting: [5, 0], looks: 2),
        // Two seconds after the first look.
        Case(waiting: [5, 5, 5], looks: 3),
        Case(waiting: [5, 5, 4, 4, 4], looks: 5),
        // One octet is enough.
        Case(waiting: [5, 5, 4, 4, 3, 3, 2, 2]),
        // More waits: TLS says its farewell.
        Case(waiting: [5, 40, 40], looks: 3),
        Case(waiting: [0, 0, 0], speaks: [0], looks: 2),
        Case(waiting: [5, 0, 0, 0], speaks: [0, 1, 2], looks: 4),
        // Nobody speaks for ever.
        Case(waiting: [0, 0, 0, 0], speaks: [0, 1, 2, 3], looks: 3),
    ]

    @Test(arguments: cases)
    func itIsOverWhenNothingIsTakenAnyMore(looks: Case) {
        var ending = UpstreamEnding(patience: .seconds(2))
        var verdicts: [UpstreamEnding.Verdict] = []
        for (index, waiting) in looks.waiting.enumerated() where verdicts.last != .over {
            if looks.speaks.contains(index) { ending.noteWord() }
            verdicts.append(ending.look(waiting: waiting, after: .seconds(1)))
        }
        #expect(verdicts.last == (looks.looks == nil ? .wait : .over))
        #expect(verdicts.count == looks.looks ?? looks.waiting.count)
    }
}
