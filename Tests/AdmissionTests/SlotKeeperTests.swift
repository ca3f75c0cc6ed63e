// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Redis
import Testing
@testable import Limits

@testable import Admission

@Suite struct SlotKeeperTests {
    private let bench = Bench()
    private let slots: SlotKeeper

    init() {
        slots = SlotKeeper(on: bench.store, seed: 35)
    }

    /// One slot in each of these sets.
    private func charge(_ sets: String...) -> Charge {
        Charge(
            sets.map { name in
                let policy = Policy(name: name, per: .key, .concurrency(3))
                return (Bucket(BucketTerms(policy: 0, of: policy, .concurrency(3)), name: Array(name.utf8)), 1)
            }, .full)
    }

    private func hold(_ charge: Charge) throws -> HeldSlot {
        try #require(slots.hold(slots.newName(), charge))
    }

    private func pass(_ time: TimeAmount) {
        bench.pass(time) { slots.renew($0) }
    }

    @Test func isRenewedEveryTenSecondsUntilItsRelease() throws {
        let slot = try hold(charge("set"))
        pass(.milliseconds(9_990))
        #expect(bench.redis.scripts.allSatisfy { $0 == "instance" })
        while !bench.redis.questions.isEmpty { bench.redis.answer(.text("id")) }
        pass(.milliseconds(10))
        #expect(bench.redis.questions.map(\.text).contains("renew set 3 z.1"))
        while !bench.redis.questions.isEmpty { bench.redis.answer() }
        slots.release(slot)
        #expect(bench.redis.answer() == "release set z.1")
        slots.release(slot)
        #expect(bench.redis.questions.isEmpty)
        pass(.seconds(20))
        #expect(!bench.redis.scripts.contains("renew"))
    }

    @Test func countsWhatItHoldsInEachSet() throws {
        let (one, both) = (charge("one"), charge("one", "two"))
        let slot = try hold(both)
        _ = try hold(one)
        #expect(both.items.map { slots.count(in: $0.bucket) } == [2, 1])
        slots.release(slot)
        #expect(both.items.map { slots.count(in: $0.bucket) } == [1, 0])
    }

    @Test func aLostSlotIsToldOnceAndLeavesItsOtherSets() throws {
        let slot = try hold(charge("{acme}one", "{acme}two"))
        var losses = 0
        slot.onLoss = { losses += 1 }
        pass(.seconds(10))
        while let question = bench.redis.questions.first?.text, !question.hasPrefix("renew {acme}one") {
            bench.redis.answer(.text("id"))
        }
        // A place that isn't one is passed over.
        bench.redis.answer(.integer(7), .integer(-1), .integer(0), .integer(0))
        #expect(losses == 1)
        #expect(slots.lost == 1)
        #expect(bench.redis.questions.last?.text == "release {acme}one {acme}two z.1")
        slots.release(slot)
        #expect(bench.redis.questions.filter { $0.text.hasPrefix("release") }.count == 1)
    }

    /// A cluster refuses a script whose keys lie apart.
    @Test func setsOfSeveralHashSlotsAreReleasedApart() throws {
        slots.release(try hold(charge("{acme}one", "{:g}all", "{acme}two")))
        #expect(bench.redis.questions.map(\.text) == ["release {acme}one {acme}two z.1", "release {:g}all z.1"])
    }

    @Test func manyAreRenewedInSeveralCalls() throws {
        for _ in 0..<(HeldSlots.mostAtOnce + 1) { _ = try hold(charge("set")) }
        pass(.seconds(10))
        let calls = bench.redis.questions.map(\.text).filter { $0.hasPrefix("renew") }
        #expect(calls.map { $0.split(separator: " ").count - 3 } == [HeldSlots.mostAtOnce, 1])
    }

    @Test func withoutRedisNothingIsRenewed() throws {
        _ = try hold(charge("set"))
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: 0, hadWholeTime: true) }
        pass(.seconds(10))
        #expect(!bench.redis.scripts.contains("renew"))
        // Two probes.
        for _ in 0..<2 {
            while !bench.redis.questions.isEmpty { bench.redis.answer(.text("id")) }
            pass(.milliseconds(10))
        }
        pass(.seconds(10))
        #expect(bench.redis.scripts.contains("renew"))
    }

    @Test func whatMayHaveBeenTakenIsGivenBack() {
        slots.abandon(nil, charge("set"))
        slots.abandon(Array("z.1".utf8), Charge([], .full))
        #expect(bench.redis.questions.isEmpty)
        slots.abandon(Array("z.1".utf8), charge("set"))
        #expect(bench.redis.answer() == "release set z.1")
        // Another database holds none of ours.
        bench.meet(.text("first"))
        bench.meet(.text("second"))
        slots.abandon(Array("z.2".utf8), charge("set"))
        #expect(bench.redis.questions.isEmpty)
    }
}
