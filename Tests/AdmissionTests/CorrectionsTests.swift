// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis
import Testing

@testable import Admission

/// Refunds and later charges in an outage.
@Suite struct CorrectionsTests {
    private let bench = Bench()

    private func correct(_ name: String) {
        var call = RedisCommand(RedisScript.correct, keyCount: 1)
        call.append(name)
        bench.link.correct(call)
    }

    private func open() {
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: bench.link.answers, hadWholeTime: true) }
        #expect(bench.link.breakerState == .open)
    }

    private func close() {
        for _ in 0..<2 {
            bench.pass(.milliseconds(10))
            bench.redis.answer(.text("id"))
        }
        #expect(bench.link.breakerState == .closed)
    }

    private var lost: Int { bench.link.traffic.correctionsLost }

    @Test func waitUntilTheBreakerCloses() {
        open()
        correct("one")
        correct("two")
        #expect(bench.redis.questions.isEmpty)
        #expect(!bench.link.isAtRest)
        close()
        #expect(bench.redis.questions.map(\.text) == ["correct one", "correct two"])
        bench.redis.answer()
        bench.redis.answer()
        #expect(bench.link.isAtRest)
        #expect(lost == 0)
    }

    /// A database that is emptied and adopted knows nothing of what was charged before.
    @Test func whatIsAboutAnotherDatabaseIsLost() {
        bench.meet(.text("id"))
        open()
        correct("one")
        bench.meet(.text("another"))
        #expect(lost == 1)
        bench.meet(.text("id"))
        close()
        #expect(bench.redis.questions.isEmpty)
    }

    /// However many there are, and a hundred at a time.
    @Test func ofAGreedyOutageTheOldestThousandStay() {
        open()
        for number in 0..<1_500 { correct("\(number)") }
        #expect(lost == 500)
        close()
        #expect(bench.redis.questions.count == 100)
        for sent in 1...10 {
            #expect(bench.redis.questions.count == 100)
            #expect(bench.redis.questions.first?.text == "correct \(100 * (sent - 1))")
            while !bench.redis.questions.isEmpty { bench.redis.answer() }
            bench.pass(.milliseconds(10))
        }
        #expect(bench.redis.questions.isEmpty)
        #expect(lost == 500)
    }

    /// It was never sent; whatever else fails may have been carried out, and is done once at most.
    @Test(
        arguments: [
            (.notConnected("refused"), 0), (.timeout, 1), (.connectionClosed("reset"), 1), (.server("ERR"), 1),
        ] as [(RedisError, Int)])
    func whatWasNeverSentWaitsAgain(error: RedisError, count: Int) {
        correct("one")
        bench.redis.answer(.failure(error))
        #expect(lost == count)
        bench.pass(.milliseconds(10))
        #expect(bench.redis.scripts == (count == 0 ? ["correct"] : []))
    }

    @Test func whatWaitsAtTheEndIsLost() {
        open()
        correct("one")
        bench.link.close()
        #expect(lost == 1)
        correct("two")
        #expect(lost == 2)
        bench.link.close()
        #expect(lost == 2)
    }
}
