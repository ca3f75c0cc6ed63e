// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import NIOEmbedded
import Testing
@testable import Limits

@testable import Admission
@testable import Redis

/// A gate leads a request through its parts: which commands are sent, in which order, and what comes of their answers.
@Suite struct GatePartsTests {
    private static let policies = [
        Policy(name: "org", per: .org, limit: Limit(count: 2, periodMicroseconds: 86_400_000_000))
    ]
    /// By no policy at all: it takes nothing.
    private let unlimited = AdmissionRequest(
        kind: .protected, credential: .presented(Array("mcp_laptop".utf8)), address: "203.0.113.9",
        selection: PolicySelection())
    private let bench = Bench(Self.policies)
    private let gate: Gate

    init() {
        gate = Gate(Bench.configuration(Self.policies), on: bench.store, logger: Bench.logger, recordCapacity: 100)
    }

    private func ask(_ kind: AdmissionRequest.Kind = .protected, _ note: @escaping (Decision, Receipt?) -> Void) {
        let selection = PolicySelection(of: Self.policies, routes: [], method: "GET")
        let request = AdmissionRequest(
            kind: kind, credential: .presented(Array("mcp_laptop".utf8)), address: "203.0.113.9", selection: selection)
        gate.admit(request, at: bench.now, note)
    }

    private func units(_ tokens: Int) throws -> RedisReply {
        .integer(Int64(try BucketShape(Limit(count: 2, periodMicroseconds: 86_400_000_000)).units(ofCost: tokens)))
    }

    /// Which record the key has, and which database says so.
    private func answerLookup() {
        bench.redis.answer(.text("acme laptop"))
        bench.redis.answer(.text("id"))
    }

    /// Answers what is asked in the background before this script is.
    private func answerOthers(than script: String) {
        while let other = bench.redis.scripts.first, other != script { bench.redis.answer(.text("id")) }
    }

    @Test func aFirstCallTakesThreeTripsAndTheNextOne() throws {
        var decisions: [Decision] = []
        ask { decision, _ in decisions.append(decision) }
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        #expect(bench.redis.answer(.integer(1), try units(1)).hasPrefix("admit tg:1:{acme} tg:1:{acme}:b:org 1 "))
        ask { decision, _ in decisions.append(decision) }
        #expect(bench.redis.scripts == ["admit"])
        bench.redis.answer(.integer(1), try units(2))
        #expect(decisions.map(\.remaining) == [[1], [0]])
        #expect(gate.counters.allowed == 2)
        #expect(bench.redis.questions.isEmpty)
    }

    @Test func aQuestionThatIsKeptIsOctetForOctetWhatAFreshOneIs() throws {
        var decisions: [Decision] = []
        ask { decision, _ in decisions.append(decision) }
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        var commands: [RedisCommand] = []
        for _ in 0..<4 {
            commands.append(try #require(bench.redis.questions.first).command)
            bench.redis.answer(.integer(1), try units(1))
            ask { decision, _ in decisions.append(decision) }
        }
        #expect(decisions.map(\.remaining) == [[1], [1], [1], [1]])
        var expected = Array("$1\r\n2\r\n$11\r\ntg:1:{acme}\r\n$17\r\ntg:1:{acme}:b:org\r\n$1\r\n1\r\n$32\r\n".utf8)
        let shape = try BucketShape(Limit(count: 2, periodMicroseconds: 86_400_000_000))
        for number in [shape.unitsPerMicrosecond, shape.capacityUnits, shape.unitsPerToken, shape.unitsPerToken] {
            withUnsafeBytes(of: Double(number).bitPattern.littleEndian) { expected += $0 }
        }
        expected += Array("\r\n".utf8)
        #expect(commands.map(\.arguments) == Array(repeating: expected, count: 4))
        #expect(commands.map(\.argumentCount) == [7, 7, 7, 7])
        // The first is not kept, the second is and asks for the others: one storage.
        let places = commands.map { command in command.arguments.withUnsafeBytes { $0.baseAddress } }
        #expect(places[0] != places[1])
        #expect(places[1] == places[2])
        #expect(places[2] == places[3])
    }

    @Test func whoAsksBeforeTheFirstConnectionIsAnsweredByIt() throws {
        bench.redis.isReady = false
        var decisions: [Decision] = []
        ask { decision, _ in decisions.append(decision) }
        bench.pass(.milliseconds(200)) { gate.expire(now: $0, having: .zero) }
        #expect(decisions.isEmpty)
        bench.redis.isReady = true
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(.integer(1), try units(1))
        #expect(decisions.map(\.remaining) == [[1]])
    }

    private func pass(_ time: TimeAmount) {
        bench.pass(time) { gate.expire(now: $0, having: .zero) }
    }

    /// docs/reliability.md, "What callers hear": one caller alone finds out by three requests.
    @Test func aRedisThatFallsSilentCostsARequestItsOwnTimeAndTheFourthNone() throws {
        var reasons: [Denial.Reason?] = []
        func call() { ask { decision, _ in reasons.append(decision.reason) } }
        call()
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(.integer(1), try units(1))
        #expect(reasons == [nil])
        for count in 1...3 {
            call()
            pass(.milliseconds(240))
            #expect(reasons.count == count)
            pass(.milliseconds(10))
            #expect(reasons.count == count + 1)
        }
        call()
        let third = Denial.Reason.limiterUnavailable(detail: "no answer of Redis in time")
        let fourth = Denial.Reason.limiterUnavailable(detail: "Redis doesn't answer")
        #expect(reasons == [nil, .limiterSlow, .limiterSlow, third, fourth])
        #expect(bench.link.traffic.timeouts == 3)
    }

    /// Before its first answer, or 100 ms later by one: a question has a time of its own.
    @Test(arguments: [(0, 250), (1, 350)])
    func aFirstCallThatFallsSilentHasAnEnd(answered: Int, end: Int64) {
        var reason: Denial.Reason?
        ask { decision, _ in reason = decision.reason }
        for _ in 0..<answered {
            pass(.milliseconds(100))
            answerLookup()
        }
        pass(.milliseconds(end - 100 * Int64(answered) - 10))
        #expect(reason == nil)
        pass(.milliseconds(10))
        #expect(reason == .limiterSlow)
        #expect(bench.link.breakerState == .closed)
        #expect(bench.link.traffic.timeouts == 1)
    }

    /// It may have been carried out when its connection was lost, which does no harm twice; a charge does.
    @Test func aQuestionThatTakesNothingIsAskedAgain() throws {
        var decisions: [Decision] = []
        gate.admit(unlimited, at: bench.now) { decision, _ in decisions.append(decision) }
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        #expect(bench.redis.answer(.failure(.connectionClosed("reset"))) == "admit tg:1:{acme} 1 ")
        #expect(decisions.isEmpty)
        #expect(bench.redis.answer(.integer(1)) == "admit tg:1:{acme} 1 ")
        #expect(decisions.map(\.reason) == [nil])
        // For no longer than it may wait.
        gate.admit(unlimited, at: bench.now) { decision, _ in decisions.append(decision) }
        bench.loop.advanceTime(by: .milliseconds(250))
        bench.redis.answer(.failure(.connectionClosed("reset")))
        let lost = Denial.Reason.limiterUnavailable(detail: "connection lost: reset")
        #expect(decisions.map(\.reason) == [nil, lost])
        ask { decision, _ in decisions.append(decision) }
        bench.redis.answer(.failure(.connectionClosed("reset")))
        #expect(decisions.map(\.reason) == [nil, lost, lost])
        #expect(bench.redis.questions.isEmpty)
    }

    /// However often it is lost, and though that is heard of at once.
    @Test func whatTakesNothingIsAskedTwiceAtMost() throws {
        var decisions: [Decision] = []
        gate.admit(unlimited, at: bench.now) { decision, _ in decisions.append(decision) }
        answerLookup()
        bench.redis.failure = .connectionClosed("no reply for 1500 ms")
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        #expect(
            decisions.map(\.reason) == [.limiterUnavailable(detail: "connection lost: no reply for 1500 ms")])
        #expect(bench.redis.failed == ["admit tg:1:{acme} 1 ", "admit tg:1:{acme} 1 "])
    }

    @Test func aSessionIsGivenOnceMoreWhereItsConnectionWasLost() {
        var isDone = false
        gate.bind(Array("s-1".utf8), to: .anybody) { isDone = true }
        bench.redis.answer(.failure(.connectionClosed("reset")))
        #expect(bench.redis.scripts == ["session"])
        #expect(!isDone)
        bench.redis.answer()
        #expect(isDone)
    }

    /// From then on nobody waits; the connection that comes after all ends that.
    @Test func threeWaitForAConnectionInVain() throws {
        bench.redis.isReady = false
        var decisions: [Decision] = []
        for count in 1...3 {
            ask { decision, _ in decisions.append(decision) }
            bench.loop.advanceTime(by: .milliseconds(250))
            for _ in 0..<2 { bench.redis.answer(.failure(.notConnected("still connecting"))) }
            #expect(decisions.count == count)
        }
        ask { decision, _ in decisions.append(decision) }
        #expect(bench.redis.questions.isEmpty)
        #expect(
            decisions.map(\.reason) == [
                .limiterUnavailable(detail: "not connected: still connecting"),
                .limiterUnavailable(detail: "not connected: still connecting"),
                .limiterUnavailable(detail: "not connected: still connecting"),
                .limiterUnavailable(detail: "Redis doesn't answer"),
            ])
        bench.link.recover()
        ask { decision, _ in decisions.append(decision) }
        #expect(bench.redis.scripts == ["lookup", "instance"])
    }

    @Test func aChangedOrganizationIsReadAnew() throws {
        var decisions: [Decision] = []
        ask { decision, _ in decisions.append(decision) }
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(.integer(2))
        #expect(bench.redis.scripts == ["load"])
        bench.redis.answer(.organization(revision: "2", status: "suspended"), .record(of: "mcp_laptop"))
        // Suspended as of a record read for this request: nothing is left to ask.
        #expect(bench.redis.questions.isEmpty)
        #expect(decisions.map(\.reason) == [.suspended])
        #expect(gate.counters.stale == 1)
    }

    @Test func aStreamEndsWithItsKey() throws {
        var receipt: Receipt?
        ask { receipt = $1 }
        answerLookup()
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(.integer(1), try units(1))
        var isOver = false
        let watch = gate.watch(try #require(receipt)) { isOver = true }
        #expect(watch != nil)
        bench.loop.advanceTime(by: .seconds(10))
        gate.expire(now: bench.now)
        answerOthers(than: "admit")
        bench.redis.answer(.integer(2))
        answerOthers(than: "load")
        bench.redis.answer(.organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        #expect(isOver)
        #expect(gate.counters.streamsEnded == 1)
    }

    @Test func atItsEndWhatWaitsIsAnswered() {
        var decisions: [Decision] = []
        ask { decision, _ in decisions.append(decision) }
        var isClosed = false
        gate.close().assumeIsolated().whenComplete { _ in isClosed = true }
        #expect(decisions.map(\.reason) == [.limiterUnavailable(detail: "closed")])
        bench.loop.advanceTime(by: .seconds(1))
        #expect(isClosed)
        #expect(bench.redis.isClosed)
        ask { decision, _ in decisions.append(decision) }
        #expect(decisions.count == 2)
        #expect(gate.counters.withoutRedis == 2)
    }
}
