// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Endpoints
import Logging
import NIOCore
import NIOEmbedded
import Redis
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits
@testable import Octets

@Suite struct LookupBudgetTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let patience = TimeAmount.milliseconds(250)

    /// Looks keys of an origin up until one has to wait, which then leaves, and says that all are none.
    ///
    /// - Returns: how many were looked up.
    private func spend(
        _ budget: inout LookupBudget, from origin: String, atMost most: Int = .max, at now: NIODeadline
    ) -> Int {
        var count = 0
        while count < most {
            guard
                case .now(let block) = budget.begin(
                    hash("\(origin) \(count)"), from: .named(origin), at: now, until: now + patience)
            else { break }
            budget.end(block, asFailure: true, at: now)
            count += 1
        }
        _ = budget.advance(at: now + patience)
        return count
    }

    private func hash(_ name: String) -> CredentialHash { CredentialHash(of: Array(name.utf8)) }

    private func begins(_ budget: inout LookupBudget, from origin: String, at now: NIODeadline) -> Bool {
        let beginning = budget.begin(hash("one of \(origin)"), from: .named(origin), at: now, until: now + patience)
        return if case .now = beginning { true } else { false }
    }

    @Test func aBlockHasItsFailuresAndAllHaveTheirs() {
        var budget = LookupBudget(blocks: 100)
        #expect(spend(&budget, from: "a", at: start) == 500)
        #expect(spend(&budget, from: "b", at: start) == 500)
        // A quarter is left for blocks without a history.
        #expect(spend(&budget, from: "c", at: start) == 500)
        #expect(spend(&budget, from: "d", at: start) == 21)
        #expect(begins(&budget, from: "good", at: start))
    }

    @Test func whatWaitsGoesWhenThereIsRoomAndBadBlocksLast() {
        var budget = LookupBudget(blocks: 200)
        for origin in 0..<3 { _ = spend(&budget, from: "bad \(origin)", at: start) }
        for origin in 0..<25 { _ = spend(&budget, from: "new \(origin)", atMost: 20, at: start) }
        // Now nothing is left, for anybody. The bad one came first.
        #expect(!begins(&budget, from: "bad 0", at: start))
        #expect(!begins(&budget, from: "good", at: start))
        #expect(budget.advance(at: start).ready.isEmpty)
        let later = start + .milliseconds(10)
        #expect(budget.advance(at: later).ready.map(\.0) == [hash("one of good")])
        // A quarter of a second is what the bad one would need; its time is over just then.
        #expect(budget.advance(at: start + .milliseconds(249)).late.isEmpty)
        #expect(budget.advance(at: start + patience).late == [hash("one of bad 0")])
    }

    /// Five blocks that send as much junk as each may send for good: together more than there is.
    @Test func whoSendsNoMoreThanABlockMayIsBadAllTheSame() {
        var budget = LookupBudget(blocks: 200)
        for step in 0..<200 {
            let now = start + .milliseconds(10) * Int64(step)
            for origin in 0..<5 { _ = spend(&budget, from: "bad \(origin)", atMost: 5, at: now) }
            guard
                case .now(let block) = budget.begin(
                    hash("good"), from: .named("good"), at: now, until: now + patience)
            else { return #expect(Bool(false), "\(step)") }
            budget.end(block, asFailure: false, at: now)
        }
    }

    /// A block that nobody knows yet has few places among those of others.
    @Test func nobodyFillsTheQueueOfGoodBlocks() {
        var budget = LookupBudget(blocks: 200)
        for number in 0..<3_000 {
            _ = budget.begin(hash("\(number)"), from: .named("new"), at: start, until: start + patience)
        }
        for number in 0..<1_500 {
            _ = budget.begin(
                hash("other \(number)"), from: .named("other \(number / 400)"), at: start, until: start + patience)
        }
        guard case .later = budget.begin(hash("good"), from: .named("good"), at: start, until: start + patience) else {
            return #expect(Bool(false), "there is no place left")
        }
    }

    @Test func timeThatStoodStillIsNobodysWait() {
        var budget = LookupBudget(blocks: 100)
        _ = spend(&budget, from: "bad", at: start)
        #expect(!begins(&budget, from: "bad", at: start))
        budget.shift(by: .seconds(60))
        let later = start + .seconds(60)
        #expect(budget.advance(at: later).ready.map(\.0) == [hash("one of bad")])
    }

    @Test func whatIsUnderWayTakesRoomUntilItIsKnown() throws {
        var budget = LookupBudget(blocks: 100)
        var blocks: [LookupBudget.Block] = []
        while case .now(let block) = budget.begin(
            hash("\(blocks.count)"), from: .named("a"), at: start, until: start + patience)
        {
            blocks.append(block)
        }
        #expect(blocks.count == 500)
        #expect(budget.advance(at: start).ready.isEmpty)
        budget.end(try #require(blocks.first), asFailure: false, at: start)
        #expect(budget.advance(at: start).ready.map(\.0) == [hash("500")])
    }

    @Test func whoCantWaitIsRefused() {
        var budget = LookupBudget(blocks: 100)
        _ = spend(&budget, from: "a", at: start)
        for number in 0..<LookupBudget.mostWaiting {
            guard case .later = budget.begin(hash("\(number)"), from: .named("a"), at: start, until: start + patience)
            else { return #expect(Bool(false), "\(number)") }
        }
        guard case .never = budget.begin(hash("more"), from: .named("a"), at: start, until: start + patience) else {
            return #expect(Bool(false), "there is room without end")
        }
    }

    @Test(arguments: [
        ("203.0.113.9", "203.0.113.200", true), ("203.0.113.9", "203.0.114.9", false),
        ("2001:db8:1:2::3", "2001:db8:1:ffff::1", true), ("2001:db8:1::1", "2001:db8:2::1", false),
        ("::ffff:203.0.113.1", "203.0.113.9", true), ("64:ff9b::203.0.113.1", "203.0.113.9", true),
        ("64:ff9b::203.0.113.1", "64:ff9b::203.0.114.1", false),
    ])
    func blocksAreWhatOneCallerMayHave(one: String, other: String, areOne: Bool) {
        #expect((origin(one) == origin(other)) == areOne)
    }

    /// Longer ones leave them as wide as they are: who has a /64 may well have a /48.
    @Test(arguments: [
        ("203.0.113.9", "203.0.99.9", AddressPrefix(ipv4: 16, ipv6: 64), true),
        ("203.0.113.9", "203.0.113.200", AddressPrefix(ipv4: 32, ipv6: 64), true),
        ("2001:db8:1::1", "2001:db8:ff::1", AddressPrefix(ipv4: 32, ipv6: 40), true),
        ("2001:db8:1:2::3", "2001:db8:1:3::3", AddressPrefix(ipv4: 32, ipv6: 128), true),
    ])
    func blocksAreNoNarrowerThanAddressesCount(one: String, other: String, prefix: AddressPrefix, areOne: Bool) {
        #expect((origin(one, by: prefix) == origin(other, by: prefix)) == areOne)
    }

    private func origin(_ text: String, by prefix: AddressPrefix = AddressPrefix()) -> LookupBudget.Origin {
        LookupBudget.Origin(
            AdmissionRequest(
                kind: .protected, address: text, clientAddress: IPAddress(text), selection: PolicySelection()),
            by: prefix)
    }

    // MARK: By a gate

    /// Never connected, so that a look-up is under way until its time is over.
    @Test func whoJoinedLaterWaitsOn() {
        let loop = EmbeddedEventLoop()
        let gate = Gate(
            configuration: AdmissionConfiguration(policies: [], format: CredentialFormat(prefix: "mcp_", accept: [])),
            endpoint: RedisEndpoint(.unix(path: "/nonexistent")), instance: Instance(), on: loop,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        var decisions: [String: Decision] = [:]
        func ask(_ name: String, _ key: String, from address: String) {
            let request = AdmissionRequest(
                kind: .protected, credential: .presented(Array("mcp_\(key)".utf8)), address: address,
                selection: PolicySelection())
            gate.admit(request, at: loop.now) { decision, _ in decisions[name] = decision }
        }
        func pass(_ milliseconds: Int) {
            for _ in 0..<(milliseconds / 10) {
                loop.advanceTime(by: .milliseconds(10))
                gate.expire(now: loop.now)
            }
        }
        for junk in 0..<LookupBudget.blockPerSecond { ask("junk", "junk\(junk)", from: "203.0.113.9") }
        ask("first", "key", from: "203.0.113.9")
        pass(240)
        ask("later", "key", from: "198.51.100.1")
        #expect(decisions.isEmpty)
        pass(10)
        #expect(decisions["first"]?.reason == .lookupBudget)
        #expect(decisions["later"] == nil)
        pass(240)
        #expect(decisions["later"] == nil)
        pass(10)
        #expect(decisions["later"]?.isUnavailable == true)
        #expect(gate.counters.keys.lookupsRefused == 1)
    }

    // MARK: With Redis

    /// Junk of one address beyond its look-ups waits, and is refused when its time is over; it costs Redis nothing. Others
    /// notice nothing, and keys that are known go on.
    @Test func junkBeyondItsLookUpsIsRefused() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            for key in 0..<20 { try await booth.key("key\(key)", of: "acme") }
            // In which Redis answers on a busy machine too, and which isn't enough for all of the junk.
            let gate = try await booth.gate([]) { $0.timeout = .seconds(2) }
            await gate.knows("key0")
            let began = ContinuousClock.now
            let reasons = await withTaskGroup(of: Denial.Reason?.self) { group in
                for junk in 0..<3_000 { group.addTask { await gate.admit(key: "junk\(junk)").reason } }
                // All of it has been asked about, or waits.
                group.addTask {
                    #expect(await gate.admit(key: "key0").isAllowed)
                    for key in 1..<20 { #expect(await gate.admit(key: "key\(key)", from: "198.51.100.1").isAllowed) }
                    return nil
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            let seconds = (ContinuousClock.now - began) / .seconds(1)
            let unknown = reasons.count { $0 == .unknown }
            #expect(unknown >= LookupBudget.blockPerSecond)
            #expect(Double(unknown) <= Double(LookupBudget.blockPerSecond) * (1 + seconds))
            #expect(reasons.count { $0 == .lookupBudget } == 3_000 - unknown)
            #expect(try await gate.counters().keys.lookupsRefused == 3_000 - unknown)
        }
    }

    /// After a start every key is unknown here.
    @Test func goodKeysUseUpNoLookUps() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            let count = LookupBudget.blockPerSecond * 2
            for key in 0..<count { try await booth.key("key\(key)", of: "acme") }
            let gate = try await booth.gate([])
            await withTaskGroup { group in
                for key in 0..<count { group.addTask { await gate.admit(key: "key\(key)").isAllowed } }
                for await isAllowed in group { #expect(isAllowed) }
            }
        }
    }
}
