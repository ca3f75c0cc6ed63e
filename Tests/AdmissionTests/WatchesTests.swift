// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
@testable import Limits

@testable import Admission

@Suite struct WatchesTests {
    private let bench = Bench()
    private let watches: Watches

    init() {
        watches = Watches(on: bench.store)
    }

    /// The keys asked about, in this time.
    private func asked(in time: TimeAmount) -> [CredentialHash] {
        var asked: [CredentialHash] = []
        bench.pass(time) { now in watches.advance(now) { asked.append($0) } }
        return asked
    }

    @Test func aKeyIsAskedAboutOnceHoweverManyStreams() {
        let (one, two) = (CredentialHash("one"), CredentialHash("two"))
        for key in [one, one, two, one] { _ = watches.open(of: key) {} }
        #expect(asked(in: .milliseconds(9_990)).isEmpty)
        #expect(asked(in: .milliseconds(10)) == [one, two])
        _ = watches.open(of: one) {}
        #expect(asked(in: .milliseconds(9_990)).isEmpty)
        #expect(asked(in: .milliseconds(10)) == [one, two])
    }

    /// Another Redis is in force, and this one was switched off.
    @Test func streamsEndWithTheRedisThatNobodyBringsBack() {
        var ended: [String] = []
        for key in ["one", "two"] { _ = watches.open(of: CredentialHash(key)) { ended.append(key) } }
        bench.redis.isReady = false
        _ = asked(in: .seconds(60))
        #expect(ended.isEmpty)
        watches.depart()
        _ = asked(in: .seconds(29))
        bench.redis.isReady = true
        _ = asked(in: .seconds(10))
        bench.redis.isReady = false
        _ = asked(in: .seconds(30))
        #expect(ended.isEmpty)
        _ = asked(in: .milliseconds(20))
        #expect(ended.sorted() == ["one", "two"])
        #expect(watches.ended == 2)
    }

    @Test func aKeyWithoutStreamsIsForgotten() {
        let one = CredentialHash("one")
        let first = watches.open(of: one) {}
        watches.close(first)
        // It comes back before it would have been asked about, and keeps its turn.
        #expect(asked(in: .seconds(5)).isEmpty)
        let second = watches.open(of: one) {}
        #expect(asked(in: .seconds(5)) == [one])
        watches.close(second)
        watches.close(second)
        #expect(asked(in: .seconds(20)).isEmpty)
        _ = watches.open(of: one) {}
        #expect(asked(in: .milliseconds(9_990)).isEmpty)
    }

    @Test(arguments: [
        (Denial.Reason.unknown, true), (.revoked, true), (.expired, true), (.notYetValid, true), (.suspended, true),
        (.addressNotAllowed, false), (.limiterSlow, false), (.limiterUnavailable(detail: ""), false),
        (.rateLimited(policies: [0]), false), (.lookupBudget, false),
    ])
    func onlyAKeyThatIsNoGoodEndsItsStreams(reason: Denial.Reason, ends: Bool) {
        var ended: [String] = []
        for stream in ["a", "b"] { _ = watches.open(of: CredentialHash("one")) { ended.append(stream) } }
        _ = watches.open(of: CredentialHash("two")) { ended.append("other") }
        let closed = watches.open(of: CredentialHash("one")) { ended.append("closed") }
        watches.close(closed)
        watches.conclude(CredentialHash("one"), .allow(Grant()))
        for _ in 0..<2 { watches.conclude(CredentialHash("one"), .deny(Denial(reason: reason))) }
        #expect(ended.sorted() == (ends ? ["a", "b"] : []))
        #expect(watches.ended == ended.count)
    }

    @Test func withoutRedisNobodyIsAsked() {
        _ = watches.open(of: CredentialHash("one")) {}
        bench.meet(.text("first"))
        bench.meet(.text("second"))
        #expect(asked(in: .seconds(10)).isEmpty)
        bench.meet(.text("first"))
        #expect(asked(in: .seconds(10)) == [CredentialHash("one")])
    }
}
