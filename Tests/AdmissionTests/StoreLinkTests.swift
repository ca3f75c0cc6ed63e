// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import NIOEmbedded
import Redis
import TestSupport
import Testing

@testable import Admission

@Suite struct StoreLinkTests {
    private func ask(_ bench: Bench, _ heard: @escaping (Result<[RedisReply], Absence>) -> Void) {
        bench.link.send(RedisCommand(RedisScript.admit, keyCount: 0), before: bench.now + .milliseconds(250)) {
            heard(bench.link.hear($0, of: RedisScript.admit))
        }
    }

    @Test(
        arguments: [
            (.success(.array([.integer(7)])), nil), (.success(.array([.integer(7), .null])), nil),
            (.failure(.timeout), .late), (.failure(.shutdown), .failed(.shutdown)),
            (.failure(.server("OOM")), .failed(.server("OOM"))),
            (.success(.null), .useless("unexpected answer of a script")),
            (.success(.array([])), .useless("unexpected answer of a script")),
            (.success(.array([.integer(-1)])), .useless("unexpected answer of a script")),
            (.success(.array([.integer(.max)])), .useless("unexpected answer of a script")),
        ] as [(Result<RedisReply, RedisError>, Absence?)])
    func onlyAnAnswerWithATimeIsOne(result: Result<RedisReply, RedisError>, absence: Absence?) {
        let bench = Bench()
        var heard: Result<[RedisReply], Absence>?
        ask(bench) { heard = $0 }
        bench.redis.answer(result)
        switch (heard, absence) {
        case (.success(let answer), nil): #expect(answer.first == .integer(7))
        case (.failure(let seen), let absence): #expect(seen == absence)
        default: #expect(Bool(false), "\(String(describing: heard))")
        }
    }

    @Test func redisTimeGoesOnFromTheLastAnswer() {
        let bench = Bench(wallClock: { 42 })
        #expect(bench.link.redisTime == 42)
        ask(bench) { _ in }
        bench.redis.answer(at: 5_000_000)
        #expect(bench.link.redisTime == 5_000_000)
        bench.loop.advanceTime(by: .milliseconds(3))
        #expect(bench.link.redisTime == 5_003_000)
    }

    @Test func threeSilentTimeoutsEndTheAsking() {
        let bench = Bench()
        #expect(bench.link.noteTimeout(since: 0, hadWholeTime: true))
        #expect(bench.link.noteTimeout(since: 0, hadWholeTime: true))
        #expect(!bench.link.noteTimeout(since: 0, hadWholeTime: true))
        #expect(bench.link.traffic.timeouts == 3)
        #expect(bench.link.fault == .silent)
        #expect(bench.link.outage == "Redis doesn't answer")
        // What it may still answer counts.
        #expect(bench.link.isOurs)
        bench.pass(.milliseconds(10))
        #expect(bench.redis.scripts == ["instance"])
        // One probe at a time; when it is lost the next goes.
        bench.pass(.milliseconds(240))
        #expect(bench.redis.scripts == ["instance"])
        bench.pass(.milliseconds(20))
        #expect(bench.redis.scripts == ["instance"])
        bench.redis.answer(.text("first"))
        #expect(bench.link.breakerState == .halfOpen)
        #expect(bench.link.outage != nil)
        // The second follows at once.
        bench.pass(.milliseconds(10))
        bench.redis.answer(.text("first"))
        #expect(bench.link.breakerState == .closed)
        #expect(bench.link.outage == nil)
        #expect(bench.link.fault == nil)
    }

    /// Sentinels name another primary: what the former one left unanswered says nothing of it, and neither does the log.
    @Test func anotherServerIsAskedUntilItHasFailedItself() {
        let log = RecordedLog()
        let bench = Bench(logger: log.logger)
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: 0, hadWholeTime: true) }
        bench.pass(.milliseconds(10))
        #expect(bench.link.outage == "Redis doesn't answer")
        let since = bench.link.gateOutage?.since
        bench.redis.isReady = false
        bench.link.recover()
        bench.pass(.milliseconds(100))
        #expect(bench.link.outage == nil)
        // It is none the less an outage, and the same one, until there is a connection.
        #expect(bench.link.fault == .redis(.unreachable))
        #expect(since != nil && bench.link.gateOutage?.since == since)
        #expect(bench.link.breakerState == .closed)
        let silent = "warning redis doesn't answer: going on without it on_failure=closed"
        #expect(log.lines.filter { $0.contains("answer") } == [silent])
        bench.redis.isReady = true
        bench.pass(.milliseconds(10))
        #expect(log.lines.filter { $0.contains("answer") } == [silent, "notice redis answers again"])
    }

    @Test func anotherDatabaseIsUsedForNothing() {
        let bench = Bench()
        bench.meet(.text("first"))
        #expect(bench.link.outage == nil)
        bench.meet(.text("second"))
        #expect(bench.link.fault == .emptied)
        #expect(bench.link.outage == "the database was emptied or swapped")
        #expect(!bench.link.isOurs)
        bench.meet(.null)
        #expect(bench.link.fault == .emptied)
        // Asked about once a second.
        bench.pass(.seconds(1))
        #expect(bench.redis.answer(.text("first")) == "instance tg:1:{:m}:meta ")
        #expect(bench.link.fault == nil)
    }

    @Test func aRefusedScriptIsAFaultWithoutAnOutage() {
        let bench = Bench(wallClock: { 1_000_000 })
        for count in 1...20 {
            ask(bench) { _ in }
            bench.redis.answer(.failure(.server("OOM command not allowed")))
            #expect(bench.link.fault == (count < 20 ? nil : .redis(.memory)))
        }
        #expect(bench.link.gateOutage == GateOutage(.redis(.memory), code: "OOM", sinceMicroseconds: 1_000_000))
        #expect(bench.link.outage == nil)
        #expect(bench.link.breakerState == .closed)
        ask(bench) { _ in }
        bench.redis.answer()
        bench.pass(.milliseconds(990))
        #expect(bench.link.fault == .redis(.memory))
        bench.pass(.milliseconds(10))
        #expect(bench.link.fault == nil)
    }

    private func answerProbe(_ bench: Bench, _ answer: Result<RedisReply, RedisError>) {
        for _ in 0..<600 where bench.redis.questions.isEmpty { bench.pass(.milliseconds(10)) }
        bench.redis.answer(answer)
    }

    private static let id = Result<RedisReply, RedisError>.success(.array([.integer(1_000_000), .text("id")]))

    /// A relay that garbles every answer, or refuses all in words of its own: nobody's key is in a probe, so it is everybody's
    /// trouble, and known without a request.
    @Test(arguments: [
        Result<RedisReply, RedisError>.success(.text("nonsense")), .failure(.server("RELAYDOWN not served")),
        .failure(.server("upstream failure")),
    ]) func aServerWhoseProbesComeToNothingIsAFault(answer: Result<RedisReply, RedisError>) {
        let bench = Bench()
        for _ in 0..<19 { answerProbe(bench, answer) }
        #expect(bench.link.fault == nil)
        answerProbe(bench, answer)
        #expect(bench.link.fault == .redis(.other))
        answerProbe(bench, Self.id)
        bench.pass(.seconds(2))
        #expect(bench.link.fault == nil)
    }

    /// A cluster that doesn't serve says so to everybody.
    @Test func aClusterThatIsDownIsNotAsked() {
        let bench = Bench()
        for _ in 0..<3 { answerProbe(bench, .failure(.server("CLUSTERDOWN The cluster is down"))) }
        #expect(bench.link.outage == "Redis refuses everything: CLUSTERDOWN")
        #expect(bench.link.gateOutage?.code == "CLUSTERDOWN")
        for _ in 0..<2 { answerProbe(bench, Self.id) }
        #expect(bench.link.outage == nil)
    }

    /// One reply was lost or came twice: all that follow are other questions' answers, while replies are due all the time.
    @Test func aProbeThatHearsAnotherAnswerHasTheConnectionMadeAnew() {
        let bench = Bench()
        answerProbe(bench, Self.id)
        answerProbe(bench, .failure(.server("ERR in words of its own")))
        #expect(bench.redis.renewals == [])
        answerProbe(bench, .success(.array([.integer(1_000_000), .integer(1), .integer(2)])))
        #expect(bench.redis.renewals == [.protocolViolation("no instance id")])
    }

    /// It is back, and refuses what it is asked: that is told of each request, and of what it is.
    @Test func aRefusalInTimeEndsSilence() {
        let bench = Bench()
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: 0, hadWholeTime: true) }
        #expect(bench.link.fault == .silent)
        for _ in 0..<2 { answerProbe(bench, .failure(.server("OOM command not allowed"))) }
        #expect(bench.link.outage == nil)
        #expect(bench.link.breakerState == .closed)
    }

    /// The third trip of a cold key has what the first two have left: to miss that is no lateness of Redis.
    @Test func whatOthersHaveUsedUpIsNoSilence() {
        let bench = Bench()
        for _ in 0..<10 { #expect(bench.link.noteTimeout(since: 0, hadWholeTime: false) == true) }
        #expect(bench.link.outage == nil)
        #expect(bench.link.traffic.timeouts == 10)
    }

    @Test func aNewConnectionIsAskedForItsDatabase() {
        let bench = Bench()
        var questions: [RedisConnection.Completion] = []
        var verdicts: [Bool] = []
        func greet() {
            bench.link.greet({ _, then in questions.append(then) }) { verdict in
                verdicts.append((try? verdict.get()) != nil)
            }
        }
        for reply in [.array([.integer(1), .text("a")]), .array([.integer(1)]), .null] as [RedisReply] {
            greet()
            questions.removeFirst()(.success(reply))
        }
        #expect(verdicts == [true, false, false])
        // Another database is the one to ask all the same.
        greet()
        questions.removeFirst()(.success(.array([.integer(1), .text("b")])))
        #expect(verdicts == [true, false, false, true])
        #expect(bench.link.fault == .emptied)
    }

    @Test func afterItsEndNobodyHasAnAnswer() {
        let bench = Bench()
        var absences: [Absence?] = []
        func note(_ result: Result<[RedisReply], Absence>) {
            if case .failure(let absence) = result { absences.append(absence) }
        }
        ask(bench, note)
        bench.link.close()
        #expect(bench.link.outage == "closed")
        #expect(!bench.link.isOurs)
        #expect(bench.link.disconnect() != nil)
        #expect(bench.redis.isClosed)
        ask(bench, note)
        #expect(absences == [.failed(.shutdown), .failed(.shutdown)])
        #expect(bench.link.disconnect() == nil)
    }
}
