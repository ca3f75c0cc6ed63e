// SPDX-License-Identifier: Apache-2.0

import Keyspace
@testable import Limits
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

    /// Passes until something else is asked than for Redis' id, to which it answers; at most a minute.
    ///
    /// - Returns: the time that passed.
    private func passUntilAsked() -> TimeAmount {
        let start = bench.now
        while bench.now < start + .minutes(1) {
            bench.pass(.milliseconds(10))
            while bench.redis.scripts.first == "instance" { bench.redis.answer(.text("id")) }
            if !bench.redis.questions.isEmpty { break }
        }
        return bench.now - start
    }

    private static let refusals = [
        "READONLY You can't write against a read only replica.", "BUSY Redis is busy running a script.",
        "OOM command not allowed when used memory > 'maxmemory'.", "NOREPLICAS Not enough good replicas to write.",
    ]

    /// Nothing of it was carried out. Redis isn't asked at once again: it would refuse the others too.
    @Test(arguments: refusals)
    func whatIsRefusedBeforehandWaits(line: String) throws {
        bench.meet(.text("id"))
        correct("one")
        bench.redis.answer(.failure(.server(line)))
        #expect(passUntilAsked() >= .seconds(1))
        try #require(bench.redis.questions.map(\.text) == ["correct one"])
        bench.redis.answer()
        #expect(lost == 0)
        #expect(bench.link.isAtRest)
    }

    /// A bucket of which three were served here.
    private func served() throws -> Bucket {
        let allowance = Allowance.quota(CalendarQuota(count: 40, per: .day))
        let bucket = Bucket(
            BucketTerms(policy: 0, of: Policy(name: "org", per: .org, allowance), allowance), name: Array("b".utf8))
        _ = try #require(bucket.localShare(1, at: 0, calendar: 0))
        bucket.takeLocally(3, at: 0, calendar: 0, isInDoubt: false)
        return bucket
    }

    /// What was served here is owed all the same.
    @Test(arguments: refusals)
    func aSettlementThatIsRefusedBeforehandWaits(line: String) throws {
        bench.meet(.text("id"))
        let bucket = try served()
        #expect(bench.link.settle(bucket))
        let told = bench.redis.answer(.failure(.server(line)))
        #expect(passUntilAsked() >= .seconds(1))
        try #require(bench.redis.questions.map(\.text) == [told])
        bench.redis.answer()
        #expect(lost == 0)
        #expect(bench.link.isAtRest)
    }

    /// Nobody is left to tell it again.
    @Test func aSettlementUnderWayAtTheEndIsLost() throws {
        let bucket = try served()
        #expect(bench.link.settle(bucket))
        bench.link.close()
        bench.redis.answer(.failure(.notConnected("refused")))
        #expect(lost == 1)
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
