// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import NIOEmbedded
import Redis
import Testing
@testable import Limits

@testable import Admission

/// A gate takes another's place under another configuration, on the same connection.
@Suite struct TakeoverTests {
    private let bench = Bench()

    private static func policies(_ count: Int) -> [Policy] {
        [
            Policy(name: "first", per: .key, limit: Limit(count: 5, periodMicroseconds: 86_400_000_000)),
            Policy(name: "org", per: .org, limit: Limit(count: count, periodMicroseconds: 86_400_000_000)),
        ]
    }

    private static func configuration(
        _ policies: [Policy], share: Double = 1, onFailure: OnFailure = .closed
    ) -> AdmissionConfiguration {
        var configuration = Bench.configuration(policies)
        configuration.onFailure = onFailure
        configuration.localShare = share
        return configuration
    }

    private func gate(_ configuration: AdmissionConfiguration) -> Gate {
        Gate(configuration, on: bench.store, logger: Bench.logger, recordCapacity: 100)
    }

    private func succeed(_ former: Gate, _ configuration: AdmissionConfiguration) -> Gate {
        Gate(configuration, succeeding: former, logger: Bench.logger, recordCapacity: 100)
    }

    private func ask(_ gate: Gate, _ note: @escaping (Decision, Receipt?) -> Void = { _, _ in }) {
        let selection = PolicySelection(of: gate.configuration.policies, routes: [], method: "GET")
        let request = AdmissionRequest(
            kind: .protected, credential: .presented(Array("mcp_laptop".utf8)), address: "203.0.113.9",
            selection: selection)
        gate.admit(request, at: bench.now, note)
    }

    /// The gate's first call, which takes three trips.
    ///
    /// - Parameter owed: what the script tells of the buckets that admit it, by policy.
    private func learn(_ gate: Gate, owed: [RedisReply] = [.integer(0), .integer(0)]) {
        ask(gate)
        bench.redis.answer(.text("acme laptop"))
        bench.redis.answer(.text("id"))
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(owed.isEmpty ? [] : [.integer(1)] + owed)
    }

    @Test func whatWasKnownOfAKeyIsKnownUnderOtherPolicies() throws {
        let one = gate(Self.configuration(Self.policies(2)))
        learn(one)
        let reversed = Array(Self.policies(7).reversed())
        let two = succeed(one, Self.configuration(reversed))
        // Not before it is in force.
        ask(two)
        #expect(bench.redis.scripts == ["lookup", "instance"])
        bench.redis.answer(.failure(.timeout))
        bench.redis.answer(.failure(.timeout))
        two.takeOver()
        ask(two)
        #expect(bench.redis.scripts.last == "admit")
        let question = bench.redis.questions.last?.text ?? ""
        #expect(question.hasPrefix("admit tg:1:{acme} tg:1:{acme}:b:org tg:1:{acme}:b:first:subject "))
        // Who began by the one before goes on by it.
        ask(one)
        #expect(
            bench.redis.questions.last?.text.hasPrefix(
                "admit tg:1:{acme} tg:1:{acme}:b:first:subject tg:1:{acme}:b:org ") == true)
    }

    @Test func whatTurnsOutToBeNoKeyIsForgottenInBoth() {
        let one = gate(Self.configuration([]))
        learn(one, owed: [])
        let two = succeed(one, Self.configuration([]))
        two.takeOver()
        var decisions: [Decision] = []
        ask(two) { decision, _ in decisions.append(decision) }
        // Stale, and then its record is another's: the key is none.
        bench.redis.answer(.integer(2))
        bench.redis.answer(.organization(revision: "2"), .record(of: "mcp_other"))
        bench.redis.answer(.null)
        bench.redis.answer(.text("id"))
        #expect(decisions.map(\.reason) == [.unknown])
        ask(two) { decision, _ in decisions.append(decision) }
        #expect(decisions.map(\.reason) == [.unknown, .unknown])
        #expect(bench.redis.questions.isEmpty)
    }

    /// Nobody can be asked about a key that was last used two configurations ago.
    @Test(arguments: [true, false]) func twoReloadsInAnOutageForgetNobody(isAway: Bool) {
        let one = gate(Self.configuration(Self.policies(2), onFailure: .open))
        learn(one)
        if isAway { fall() }
        let two = succeed(one, Self.configuration(Self.policies(3), onFailure: .open))
        two.takeOver()
        let three = succeed(two, Self.configuration(Self.policies(4), onFailure: .open))
        three.takeOver()
        var reasons: [Denial.Reason?] = []
        ask(three) { decision, _ in reasons.append(decision.reason) }
        #expect(reasons == (isAway ? [nil] : []))
        if !isAway { #expect(bench.redis.scripts == ["lookup", "instance"]) }
    }

    /// What one gate had on its way when it ended is not lost with the last one that ends.
    @Test func theConnectionStaysUntilAllIsWritten() {
        let one = gate(Self.configuration(Self.policies(5)))
        learn(one)
        let two = succeed(one, Self.configuration(Self.policies(6)))
        two.takeOver()
        one.close()
        two.close()
        bench.loop.run()
        #expect(bench.redis.scripts == ["usage"])
        #expect(!bench.redis.isClosed)
        bench.redis.answer()
        bench.loop.run()
        #expect(bench.redis.isClosed)
    }

    /// The one that ended before the last one is what the end waits for.
    @Test func theEndWaitsForWhatAFormerGateWrites() {
        let one = gate(Self.configuration(Self.policies(5)))
        learn(one)
        let two = succeed(one, Self.configuration(Self.policies(6)))
        two.takeOver()
        one.close()
        bench.loop.run()
        var isEnded = false
        two.close().assumeIsolated().whenComplete { _ in isEnded = true }
        bench.loop.run()
        #expect(!isEnded && !bench.redis.isClosed)
        #expect(bench.redis.scripts == ["usage"])
        bench.redis.answer()
        bench.loop.run()
        #expect(isEnded && bench.redis.isClosed)
    }

    /// Before its first tick, too.
    @Test func callsCountForTheDayFromTheBeginning() {
        let one = gate(Self.configuration(Self.policies(5)))
        learn(one)
        let two = succeed(one, Self.configuration(Self.policies(6)))
        two.takeOver()
        ask(two)
        // 2026-11-23, by Redis' clock.
        bench.redis.answer(at: 1_795_392_000_000_000, .integer(1), .integer(0), .integer(0))
        let three = succeed(two, Self.configuration(Self.policies(7)))
        three.takeOver()
        ask(three)
        bench.redis.answer(at: 1_795_392_000_000_001, .integer(1), .integer(0), .integer(0))
        three.close()
        bench.loop.run()
        #expect(bench.redis.questions.last?.text.contains("{acme}:u:20261123") == true)
    }

    @Test func slotsThatAreHeldCountUnderEveryConfiguration() {
        let slots = Policy(name: "slots", per: .key, .concurrency(1))
        let one = gate(Self.configuration([slots], onFailure: .local))
        learn(one, owed: [.integer(0)])
        fall()
        let two = succeed(one, Self.configuration([slots, Self.policies(1)[1]], onFailure: .local))
        two.takeOver()
        var decisions: [Decision] = []
        ask(two) { decision, _ in decisions.append(decision) }
        #expect(decisions.map(\.reason) == [.rateLimited(policies: [0])])
    }

    @Test func afterAMinuteOnlyWhatWasAskedForIsKnown() {
        let one = gate(Self.configuration([]))
        learn(one, owed: [])
        let two = succeed(one, Self.configuration([]))
        two.takeOver()
        bench.loop.advanceTime(by: .seconds(60))
        two.expire(now: bench.now, having: .zero)
        while !bench.redis.questions.isEmpty { bench.redis.answer(.text("id")) }
        ask(two)
        #expect(bench.redis.scripts == ["lookup", "instance"])
    }

    /// In an outage a reload must neither lock out a key nor give it another burst.
    @Test(arguments: [(1.0, [4, 3, 2]), (0.5, [4, 3, 1])])
    func whatIsCountedHereGoesOnWhereTheShareIsTheSame(share: Double, left: [Int]) throws {
        let one = gate(Self.configuration(Self.policies(9), share: 1, onFailure: .local))
        learn(one)
        fall()
        var remaining: [Int?] = []
        let note: (Decision, Receipt?) -> Void = { decision, _ in remaining.append(decision.remaining.first) }
        ask(one, note)
        ask(one, note)
        let two = succeed(one, Self.configuration(Self.policies(8), share: share, onFailure: .local))
        two.takeOver()
        ask(two, note)
        #expect(remaining == left.map(Optional.some))
    }

    /// Redis answers nobody any more, which a decision finds out.
    private func fall() {
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: bench.link.answers, hadWholeTime: true) }
        #expect(bench.link.outage != nil)
    }

    @Test func theConnectionEndsWithTheLastGateThatHasIt() {
        let one = gate(Self.configuration(Self.policies(1)))
        let two = succeed(one, Self.configuration(Self.policies(2)))
        two.takeOver()
        let never = succeed(two, Self.configuration(Self.policies(3)))
        var ended = 0
        for gate in [never, one] { gate.close().assumeIsolated().whenComplete { _ in ended += 1 } }
        bench.loop.run()
        #expect(ended == 2)
        #expect(!bench.redis.isClosed)
        ask(two)
        #expect(bench.redis.scripts == ["lookup", "instance"])
        two.close().assumeIsolated().whenComplete { _ in ended += 1 }
        bench.loop.run()
        #expect(ended == 3)
        #expect(bench.redis.isClosed)
    }
}
