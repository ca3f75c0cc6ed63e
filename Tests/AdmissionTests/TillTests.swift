// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import NIOEmbedded
import Redis
import Testing
@testable import Limits

@testable import Admission

private let minute = 60_000_000

@Suite struct TillTests {
    /// A till, what it was asked about, and what it has answered.
    private final class Counter {
        let bench: Bench
        let payers: Payers
        let corrections: Corrections
        let till: Till
        private(set) var answers: [Till.Answer] = []

        init(_ policies: [Policy], paysBySlot: Bool = false) {
            bench = Bench(policies)
            var configuration = Bench.configuration(policies)
            configuration.paysBySlot = paysBySlot
            let store = bench.store
            payers = Payers(configuration, named: store.names, capacity: 10)
            let slots = SlotKeeper(on: store, seed: 35)
            let meter = UsageMeter(configuration, on: store)
            corrections = Corrections(of: policies, on: store, slots: slots, meter: meter)
            till = Till(
                configuration, on: store, waits: Waits(on: bench.loop), slots: slots, meter: meter,
                corrections: corrections)
            till.onAnswer = { [unowned self] ask, answer in
                self.answers.append(answer)
                if case .decided(let decision, _) = answer { _ = ask.end(decision) }
            }
        }

        var redis: StubLink { bench.redis }

        /// Asks on a public route, or for a key.
        @discardableResult
        func ask(for entry: KeyEntry? = nil) -> (ask: Ask, charge: Charge) {
            var selection = PolicySelection()
            for index in till.policyCounters.indices { selection.append(index, cost: 1) }
            let request = AdmissionRequest(kind: .publicRoute, address: "203.0.113.9", selection: selection)
            let ask = Ask(request, at: bench.now, within: bench.link.timeout) { _, _ in }
            let charge = payers.anonymousCharge(request)
            ask.caller = entry.map { Caller(entry: $0, hash: CredentialHash("mcp_laptop")) }
            till.settle(ask, charge, .grant)
            return (ask, charge)
        }

        var decisions: [Decision] {
            answers.compactMap { if case .decided(let decision, _) = $0 { decision } else { nil } }
        }

        var receipts: [Receipt] {
            answers.compactMap { if case .decided(_, let receipt) = $0 { receipt } else { nil } }
        }

        var absences: [Absence] {
            answers.compactMap { if case .absent(let absence) = $0 { absence } else { nil } }
        }
    }

    /// 2 tokens a day each, of which none leaks while a test runs.
    private static let limit = Limit(count: 2, periodMicroseconds: 1440 * minute)
    private static let policies = [Policy(name: "address", per: .address, limit: limit)]
    private static let call = "admit tg:1:{a:203.0.113.9}:b:address"

    private func units(_ tokens: Int) throws -> RedisReply {
        .integer(Int64(try BucketShape(Self.limit).units(ofCost: tokens)))
    }

    @Test func anAdmissionIsDecidedByItsAnswer() throws {
        let counter = Counter(Self.policies)
        let (_, charge) = counter.ask()
        #expect(charge.items.map(\.bucket.underWay) == [1])
        #expect(counter.redis.answer(.integer(1), try units(1)).hasPrefix(Self.call))
        #expect(charge.items.map(\.bucket.underWay) == [0])
        #expect(counter.decisions.map(\.remaining) == [[1]])
        #expect(counter.receipts.count == 1)
        #expect(counter.till.policyCounters[0].allowed == 1)
    }

    @Test func aDenialIsRememberedWithoutAQuestion() throws {
        let counter = Counter(Self.policies)
        counter.ask()
        counter.redis.answer(.integer(0), try units(2))
        counter.ask()
        #expect(counter.redis.questions.isEmpty)
        #expect(counter.decisions.map(\.reason) == [.rateLimited(policies: [0]), .rateLimited(policies: [0])])
        #expect(counter.till.deniedFromCache == 1)
        #expect(counter.till.policyCounters[0].denied == 2)
        #expect(counter.receipts.isEmpty)
    }

    /// As Redis has said of each: of several that refuse all are named, and of one that has room it is told what is left.
    @Test(arguments: [([2, 0], [0]), ([0, 2], [1]), ([2, 2], [0, 1])])
    func aDenialIsRememberedOfEachBucket(owed: [Int], denying: [Int]) throws {
        let counter = Counter(["a", "b"].map { Policy(name: $0, per: .address, limit: Self.limit) })
        counter.ask()
        counter.redis.answer(.integer(0), try units(owed[0]), try units(owed[1]))
        for _ in 0..<2 { counter.ask() }
        #expect(counter.redis.questions.isEmpty)
        #expect(counter.decisions.map(\.reason) == Array(repeating: .rateLimited(policies: denying), count: 3))
        #expect(counter.decisions.map(\.remaining) == Array(repeating: owed.map { 2 - $0 }, count: 3))
        #expect(counter.till.deniedFromCache == 2)
        #expect(counter.till.policyCounters.map(\.denied) == owed.map { $0 == 2 ? 3 : 0 })
    }

    @Test(
        arguments: [
            [], [.integer(1)], [.integer(9), .integer(0)], [.integer(1), .integer(-1)], [.integer(1), .text("1")],
            [.integer(1), .integer(.max)], [.integer(0), .integer(.max)], [.integer(0), .integer(.min)],
            // A denial has to lack room.
            [.integer(0), .integer(0)],
            // Nothing was to be confirmed.
            [.integer(2)], [.integer(3)],
        ] as [[RedisReply]])
    func whatIsNoAnswerIsUsedForNothing(elements: [RedisReply]) {
        let counter = Counter(Self.policies)
        counter.ask()
        counter.redis.answer(.success(.array([.integer(1_000_000)] + elements)))
        #expect(counter.absences == [.useless("unexpected answer of the script")])
        #expect(counter.answers.count == 1)
    }

    @Test(arguments: [(Int64(2), "stale"), (3, "misjudged"), (4, "foreign")])
    func whatWasNotChargedIsAskedAnew(verdict: Int64, answer: String) throws {
        let counter = Counter(Self.policies)
        let entry = try KeyEntry.stub()
        counter.ask(for: entry)
        let question = counter.redis.answer(.integer(verdict))
        #expect(question.hasPrefix("admit tg:1:{acme} tg:1:{a:203.0.113.9}:b:address"))
        #expect(counter.answers.count == 1)
        switch try #require(counter.answers.first) {
        case .stale(let confirmation): #expect(answer == "stale" && confirmation.entry === entry)
        case .misjudged(let confirmation): #expect(answer == "misjudged" && confirmation.entry === entry)
        case .foreign(let principal): #expect(answer == "foreign" && principal == entry.principal)
        case .decided, .absent: #expect(Bool(false), "\(counter.answers)")
        }
    }

    @Test func aTurnedWindowIsAskedForTwiceMore() {
        let counter = Counter([Policy(name: "month", per: .address, .quota(CalendarQuota(count: 9, per: .month)))])
        counter.ask()
        for _ in 0..<3 { counter.redis.answer(.integer(5)) }
        #expect(counter.redis.questions.isEmpty)
        #expect(counter.decisions.map(\.reason) == [.limiterUnavailable(detail: "Redis' clock jumps")])
    }

    @Test func whatComesTooLateIsGivenBack() throws {
        let counter = Counter(Self.policies + [Policy(name: "calls", per: .address, .concurrency(1))])
        let (ask, charge) = counter.ask()
        let late = try #require(counter.redis.questions.first?.late)
        counter.bench.pass(.milliseconds(250))
        #expect(counter.absences == [.late])
        #expect(charge.items.map(\.bucket.underWay) == [0, 0])
        // Its slot may have been taken.
        #expect(counter.redis.answer() == "release tg:1:{a:203.0.113.9}:c:calls z.1")
        _ = ask.end(.deny(Denial(reason: .limiterSlow)))
        late(.array([.integer(1_000_000), .integer(1), try units(1), .integer(1)]))
        #expect(counter.redis.scripts == ["correct", "release"])
        #expect(counter.corrections.count == 1)
    }

    @Test func whoWasLetThroughKeepsWhatCameTooLate() throws {
        let counter = Counter(Self.policies)
        let (ask, _) = counter.ask()
        let late = try #require(counter.redis.questions.first?.late)
        counter.bench.pass(.milliseconds(250))
        _ = ask.end(.allow(Grant()))
        late(.array([.integer(1_000_000), .integer(1), try units(1)]))
        #expect(counter.redis.questions.isEmpty)
    }

    @Test func aClusterIsPaidPartByPart() throws {
        let counter = Counter(
            Self.policies + [Policy(name: "all", per: .global, limit: Self.limit)], paysBySlot: true)
        let (ask, _) = counter.ask()
        #expect(counter.redis.answer(.integer(1), try units(1)).hasPrefix("admit tg:1:{a:203.0.113.9}:b:address"))
        #expect(counter.answers.isEmpty)
        #expect(counter.redis.answer(.integer(0), try units(2)).hasPrefix("admit tg:1:{:g}:b:all"))
        #expect(counter.decisions.map(\.reason) == [.rateLimited(policies: [1])])
        // Whoever ends it gives back what the first part took.
        #expect(ask.instalments?.paid.count == 1)
        counter.corrections.giveBack(ask)
        #expect(counter.redis.answer().hasPrefix("correct tg:1:{a:203.0.113.9}:b:address"))
    }

    @Test func withNothingToAskNobodyIsAsked() {
        let counter = Counter([])
        counter.ask()
        #expect(counter.redis.questions.isEmpty)
        #expect(counter.decisions == [.allow(Grant())])
    }
}
