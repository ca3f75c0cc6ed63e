// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import Redis
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits
@testable import Octets

/// A token takes a minute and a half: no run is slow enough to get one back.
private let day = Limit(count: 1_000, periodMicroseconds: 86_400_000_000)

@Suite struct WithoutRedisTests {
    private let policies = [
        Policy(name: "address", per: .address, limit: day), Policy(name: "org", per: .org, limit: day),
    ]

    /// What every outage has in common, whatever `on_failure` says.
    private func expectRefusalsAsUsual(_ gate: GateDriver) async {
        #expect(await gate.admit(.refusal) == .allow(Grant()))
        #expect(await gate.admit() == .deny(Denial(reason: .missing)))
        #expect(await gate.admit(key: "") == .deny(Denial(reason: .malformed)))
        #expect(await gate.admit(.publicRoute, isThrottled: false) == .allow(Grant()))
    }

    /// Of several outages one has to be that short: a busy machine may stretch any.
    ///
    /// - Parameters:
    ///   - first: how long one took that is over.
    ///   - outage: lets Redis return.
    ///   - again: takes it away once more.
    private func withinASecond(
        after first: Duration? = nil, _ outage: () async throws -> Duration, otherwise again: () async throws -> Void
    ) async throws {
        var took: [Duration] = []
        if let first { took.append(first) }
        while took.last.map({ $0 >= .seconds(1) }) ?? true, took.count < 10 {
            if !took.isEmpty { try await again() }
            took.append(try await outage())
        }
        let last = try #require(took.last)
        #expect(last < .seconds(1), "\(took)")
    }

    @Test func killedItIs503AndBackWithinASecondOfItsReturn() async throws {
        try await Tollbooth.open(persists: true) { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies) { $0.timeout = .milliseconds(50) }
            await gate.knows("laptop")
            try await booth.kill()
            for _ in 0..<20 {
                let (decision, took, stall) = await gate.timed(key: "laptop")
                #expect(decision.isUnavailable)
                #expect(took <= .milliseconds(100) + stall)
            }
            // Where nobody listens nobody waits.
            let (_, took, stall) = await gate.timed(key: "laptop")
            #expect(took < .milliseconds(35) + stall)
            await expectRefusalsAsUsual(gate)
            #expect(await gate.admit(.publicRoute).isUnavailable)
            #expect(await gate.admit(key: "nobody").isUnavailable)
            await gate.becomesReady(false)
            try await withinASecond {
                try await booth.start()
                return await ContinuousClock().measure {
                    await gate.becomesReady()
                    // A busy machine may let one decision run out of time; none says anything else than that.
                    while await gate.admit(key: "laptop").isUnavailable {}
                }
            } otherwise: {
                try await booth.kill()
                await gate.becomesReady(false)
            }
        }
    }

    @Test func frozenItIs503WithinTheBudgetAndSoonAtOnce() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies) { $0.timeout = .milliseconds(50) }
            await gate.knows("laptop")
            let (before, connections) = try await (gate.counters().timeouts, gate.traffic().connects)
            try await booth.freeze()
            for count in 1...3 {
                let (decision, took, stall) = await gate.timed(key: "laptop")
                // One is late now and then; only what goes on is an outage.
                #expect(
                    decision.reason
                        == (count < 3 ? .limiterSlow : .limiterUnavailable(detail: "no answer of Redis in time")))
                #expect(took >= .milliseconds(35))
                #expect(took <= .milliseconds(100) + stall)
            }
            // Three times nothing heard: no more waiting.
            for _ in 0..<100 {
                let (decision, took, stall) = await gate.timed(key: "laptop")
                #expect(decision.isUnavailable)
                #expect(took < .milliseconds(35) + stall)
            }
            #expect(try await gate.counters().timeouts == before + 3)
            await expectRefusalsAsUsual(gate)
            try await booth.thaw()
            let first = await ContinuousClock().measure { await gate.becomesReady() }
            // What timed out was charged, and its late answers have given that back: one call before, this one. On a busy
            // machine the connection may have been given up, and the three answers with it.
            await gate.knows("laptop")
            var left: [Int] = []
            while left.isEmpty { left = await gate.admit(key: "laptop", isThrottled: false).remaining }
            let least = try await gate.traffic().connects == connections ? 997 : 994
            #expect((least...998).contains(try #require(left.first)))
            try await withinASecond(after: first) {
                try await booth.thaw()
                return await ContinuousClock().measure { await gate.becomesReady() }
            } otherwise: {
                try await booth.freeze()
                while try await gate.isReady() { _ = await gate.admit(key: "laptop") }
            }
        }
    }

    @Test func absentAtBootItIs503AndComesByItself() async throws {
        try await Tollbooth.open(persists: true) { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            try await booth.kill()
            let gate = try await booth.gate(policies, isAwaited: false) { $0.timeout = .milliseconds(50) }
            for _ in 0..<5 {
                let (decision, took, stall) = await gate.timed(key: "laptop")
                #expect(decision.isUnavailable)
                // What is asked of a caller with a key is an answer within 100 ms.
                #expect(took <= .milliseconds(100) + stall)
            }
            await expectRefusalsAsUsual(gate)
            try await booth.start()
            await gate.becomesReady()
            await gate.knows("laptop")
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    @Test func aRequestWaitsForItsConnectionWithinItsBudget() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies, isAwaited: false)
            // Asked before the connection stands.
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    @Test func failingOpenForwardsKnownKeysUncharged() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            let end = WallTime.now().microsecondsSince1970 / 1_000_000 + 2
            try await booth.key("laptop", of: "acme")
            try await booth.key("revoked", of: "acme", ["is_active": "0"])
            try await booth.key("brief", of: "acme", ["expires_at": "\(end)"])
            try await booth.key("blocked", of: "acme", ["limits": "key=0/1m"])
            let gate = try await booth.gate(policies + [Policy(name: "key", per: .key, limit: day)]) {
                $0.onFailure = .open
                $0.timeout = .milliseconds(50)
            }
            for key in ["laptop", "revoked", "brief", "blocked"] { await gate.knows(key) }
            try await booth.kill()
            await gate.becomesReady(false)
            let grant = Grant(
                Rights(
                    of: Principal(organization: "acme", keyID: "acme/laptop"), subject: "laptop"))
            #expect(await gate.admit(key: "laptop") == .allow(grant))
            #expect(await gate.admit(key: "nobody").isUnavailable)
            #expect(await gate.admit(key: "revoked").isUnavailable)
            #expect(
                await gate.admit(key: "blocked").reason == .costExceedsCapacity(policy: 2, cost: 1, capacity: 0))
            #expect(await gate.admit(.publicRoute) == .allow(Grant()))
            await expectRefusalsAsUsual(gate)
            var asked = 0
            while await !gate.admit(key: "brief").isUnavailable {
                try #require(asked < (end + 1) * 1_000_000)
                asked = WallTime.now().microsecondsSince1970
            }
            #expect(WallTime.now().microsecondsSince1970 >= end * 1_000_000 - 50_000)
        }
    }

    @Test func countingLocallyGivesTheShare() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 8, periodMicroseconds: 3_600_000_000)),
                Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 3_600_000_000)),
                Policy(name: "key", per: .key, limit: day),
            ]) {
                $0.onFailure = .local
                $0.localShare = 0.25
                $0.timeout = .milliseconds(50)
            }
            await gate.knows("laptop")
            try await booth.kill()
            await gate.becomesReady(false)
            // One call before it has taken a twentieth, here as there.
            for left in [3, 2, 1, 0] { #expect(await gate.admit(key: "laptop").remaining == [left, 245 + left]) }
            let denied = await gate.admit(key: "laptop")
            #expect(denied.reason == .rateLimited(policies: [1]))
            let status = try #require(denied.limits?.statuses.first)
            #expect(status.capacity == 5)
            #expect(status.allowance == .rate(Limit(count: 20, periodMicroseconds: 14_400_000_000, burst: 5)))
            #expect(denied.remaining == [0, 245])
            #expect(await gate.admit(key: "nobody").isUnavailable)
            for left in [1, 0] { #expect(await gate.admit(.publicRoute).remaining == [left]) }
            #expect(await gate.admit(.publicRoute).reason == .rateLimited(policies: [0]))
            await expectRefusalsAsUsual(gate)
        }
    }

    @Test func countingLocallyGivesTheShareOfQuotasAndSlotsToo() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "monthly", per: .org, .quota(CalendarQuota(count: 16, per: .month))),
                Policy(name: "calls", per: .key, .concurrency(8)),
                Policy(name: "shadow", per: .key, .rate(day), mode: .shadow),
            ]) {
                $0.onFailure = .local
                $0.localShare = 0.25
                $0.timeout = .milliseconds(50)
            }
            await gate.knows("laptop")
            try await gate.release()
            try await booth.kill()
            await gate.becomesReady(false)
            for left in [[2, 1], [1, 0]] { #expect(await gate.admit(key: "laptop").remaining == left) }
            #expect(await gate.admit(key: "laptop").reason == .rateLimited(policies: [1]))
            try await gate.release()
            #expect(await gate.admit(key: "laptop").remaining == [0, 0])
            try await gate.release()
            #expect(await gate.admit(key: "laptop").reason == .rateLimited(policies: [0]))
        }
    }

    @Test func aRouteThatIsNotThrottledIsServedToKnownKeys() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies) { $0.timeout = .milliseconds(50) }
            await gate.knows("laptop")
            try await booth.kill()
            await gate.becomesReady(false)
            let grant = Grant(
                Rights(
                    of: Principal(organization: "acme", keyID: "acme/laptop"), subject: "laptop"))
            #expect(await gate.admit(key: "laptop", isThrottled: false) == .allow(grant))
            #expect(await gate.admit(key: "laptop").isUnavailable)
            // Authentication never fails open.
            #expect(await gate.admit(key: "nobody", isThrottled: false).isUnavailable)
        }
    }

    // MARK: Another database

    @Test func anEmptiedDatabaseIsAnOutageNotAnUnknownKey() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").isAllowed)
            let id = try #require(try await booth.client.send("GET", "tg:1:{:m}:meta").text)
            #expect(id.utf8.count == 32)
            _ = try await booth.client.send("FLUSHALL")
            #expect(await gate.admit(key: "laptop").isUnavailable)
            await gate.becomesReady(false)
            await expectRefusalsAsUsual(gate)
            // Nobody who knows an id names another.
            #expect(try await booth.client.send("EXISTS", "tg:1:{:m}:meta") == .integer(0))
            // A process that knows none does, and works with what is there.
            let newcomer = try await booth.gate(policies)
            #expect(await newcomer.admit(key: "laptop").reason == .unknown)
            #expect(await gate.admit(key: "laptop").isUnavailable)
            // Restored, the first goes on.
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            _ = try await booth.client.send("SET", "tg:1:{:m}:meta", id)
            await gate.becomesReady()
            await gate.knows("laptop")
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    @Test func aSwappedDatabaseIsNoticedOnConnecting() async throws {
        try await Tollbooth.open { booth in
            let instance = Instance()
            let gates = [
                try await booth.gate(policies, instance: instance) { $0.timeout = .milliseconds(50) },
                try await booth.gate(policies, instance: instance) { $0.timeout = .milliseconds(50) },
            ]
            #expect(instance.id != nil)
            // It keeps nothing.
            try await booth.kill()
            for gate in gates { await gate.becomesReady(false) }
            try await booth.start()
            for gate in gates {
                // A key that nobody can tell to be unknown.
                for _ in 0..<10 { #expect(await gate.admit(key: "nobody").isUnavailable) }
            }
        }
    }

    @Test func aServersRefusalIsAnOutage() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").isAllowed)
            _ = try await booth.client.send("REPLICAOF", "127.0.0.1", "1")
            let decision = await gate.admit(key: "laptop")
            guard case .limiterUnavailable(let detail) = decision.reason else {
                return #expect(Bool(false), "\(decision)")
            }
            #expect(detail.contains("READONLY") || detail.contains("MASTERDOWN"))
            #expect(await gate.admit(key: "nobody").isUnavailable)
            _ = try await booth.client.send("REPLICAOF", "NO", "ONE")
            await gate.knows("laptop")
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    @Test func closingAnswersEverybodyOnce() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            try await booth.freeze()
            await withTaskGroup(of: Decision.self) { group in
                for _ in 0..<50 { group.addTask { await gate.admit(key: "laptop") } }
                // The gate has them all once it has answered one that needs no Redis, asked after them on the same loop.
                group.addTask {
                    while ((try? await gate.pending()) ?? 0) < 50 { await Task.yield() }
                    try? await gate.close()
                    return .allow(Grant())
                }
                var unavailable = 0
                for await decision in group where decision.isUnavailable { unavailable += 1 }
                #expect(unavailable == 50)
            }
            try await booth.thaw()
            #expect(await gate.admit(key: "laptop").isUnavailable)
        }
    }
}
