// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import TestSupport
import Testing
@testable import Admission
@testable import Limits
@testable import Redis

/// Sidecars, plans and records that count one bucket by different numbers keep the bound of `Ledger` all the same.
@Suite struct DisagreementTests {
    private static let second = 1_000_000

    /// Pairs that went wrong while a reader cut the state to its own numbers, or weighed it by its own rate.
    private static let pairs = [
        ["1000/1000s:1000", "1000/1000s:1"], ["300/300s:300", "300/300s:20"], ["10/1s:10", "1/1s:10"],
        ["7/3s:500", "20/10s:20"],
    ]

    private static func limits(_ dice: inout Dice) throws -> [Limit] {
        if let pair = pairs.randomElement(using: &dice), Int.random(in: 0..<4, using: &dice) == 0 {
            return try pair.map(Limit.init(parsing:))
        }
        return (0..<Int.random(in: 2...3, using: &dice)).map { _ in
            Limit(
                count: Int.random(in: 1...50, using: &dice),
                periodMicroseconds: second * .random(in: 1...60, using: &dice),
                burst: dice.magnitude(upTo: 300))
        }
    }

    /// From nothing to what refills a bucket, now and then back.
    private static func pause(_ limits: [Limit], _ dice: inout Dice) -> Int {
        switch Int.random(in: 0..<12, using: &dice) {
        case 0..<5: return 0
        case 5: return -Int.random(in: 0...3_600 * second, using: &dice)
        case 6: return -Int.random(in: 0...5_000, using: &dice)
        case 7: return Int.random(in: 0...3_600 * second, using: &dice)
        default:
            let limit = limits.randomElement(using: &dice) ?? limits[0]
            return Int.random(in: 0...max(1, 3 * limit.periodMicroseconds / limit.count), using: &dice)
        }
    }

    // MARK: In the model

    /// One bucket as Redis keeps it, with the end that its writer gives it.
    private struct Kept {
        private var state: BucketState?
        private var last = 0

        mutating func act<Answer>(by shape: BucketShape, at now: Int, _ act: (inout TokenBucket) -> Answer) -> Answer {
            if now / 1_000 > last { state = nil }
            var bucket = TokenBucket(shape, allowsDebt: true, state: state)
            let answer = act(&bucket)
            if bucket.state != state, let written = bucket.state {
                let wait = shape.leakMicroseconds(Int(written.owed(to: shape, at: now)))
                last = now / 1_000 + (wait + 999) / 1_000
            }
            state = bucket.state
            return answer
        }
    }

    /// 3 000 schedules of 150 steps, of two or three sets that may come and go: who asks, looks and owes more afterwards.
    @Test func noScheduleAdmitsMoreThanTheBound() throws {
        var dice = Dice(seed: 47)
        var (worst, admitted, denied) = (0, 0, 0)
        let rounds = Rounds.usually(3_000)
        for _ in 0..<rounds {
            let limits = try Self.limits(&dice)
            let shapes = try limits.map { limit throws(LimitError) in try BucketShape(limit) }
            var (kept, ledger, now) = (Kept(), Ledger(), 1_763_866_666_000_000)
            // Each set for a part of the time.
            let begins = limits.map { _ in Int.random(in: 0..<75, using: &dice) }
            for step in 0..<150 {
                now += Self.pause(limits, &dice)
                let alive = limits.indices.filter { step >= begins[$0] && step < begins[$0] + 75 }
                guard let index = alive.randomElement(using: &dice) else { continue }
                let cost =
                    Int.random(in: 0...3, using: &dice) == 0 ? .random(in: 0...limits[index].burst, using: &dice) : 1
                let more = Int.random(in: 0..<10, using: &dice) == 0
                let isAdmitted = kept.act(by: shapes[index], at: now) { bucket in
                    if more { bucket.correct(0, to: cost, takenAt: now, at: now) }
                    return more ? false : bucket.take(cost, at: now).isAdmitted
                }
                ledger.note(limits[index], admitted: isAdmitted ? cost : 0, at: now)
                denied += isAdmitted ? 0 : 1
            }
            worst = max(worst, ledger.worstExcess)
            admitted += ledger.admitted
        }
        #expect(worst == 0)
        #expect(admitted > 30 * rounds && denied > 3 * rounds)
    }

    // MARK: By the scripts

    @Test(.timeLimit(.minutes(5))) func theScriptsAdmitNoMoreThanTheBound() async throws {
        try await Tollbooth.open { booth in
            let clock = try AnyClock(booth.client, expires: true)
            var dice = Dice(seed: 53)
            var (worst, admitted) = (0, 0)
            let rounds = Rounds.usually(100)
            for round in 0..<rounds {
                let limits = try Self.limits(&dice)
                let buckets = limits.map { limit in
                    let policy = Policy(name: "p", per: .key, .rate(limit), costField: "x")
                    return Bucket(
                        BucketTerms(policy: 0, of: policy, .rate(limit)), name: Array("b\(round)".utf8))
                }
                var (steps, asked, now) = ([AnyClock.Step](), [(limit: Limit, cost: Int)](), 1_763_866_666_000_000)
                for _ in 0..<150 {
                    now += Self.pause(limits, &dice)
                    let bucket = try #require(buckets.randomElement(using: &dice))
                    guard case .rate(let shape) = bucket.meter, case .rate(let limit) = bucket.allowance else {
                        continue
                    }
                    if Int.random(in: 0..<10, using: &dice) == 0 {
                        let words = [
                            1, shape.unitsPerMicrosecond, shape.unitsPerToken, shape.mostUnits(allowingDebt: true), 0,
                            shape.unitsPerToken, now,
                        ]
                        steps.append(
                            .init(.correct, keys: [bucket.name], arguments: words.map { Array("\($0)".utf8) }, at: now))
                        asked.append((limit, 0))
                        continue
                    }
                    let cost = Int.random(in: 0...3, using: &dice) == 0 ? .random(in: 0...limit.burst, using: &dice) : 1
                    let question = Question(Charge([(bucket, cost)], .full))
                    steps.append(.init(.admit, question.call(at: now), at: now))
                    asked.append((limit, cost))
                }
                var ledger = Ledger()
                for (answer, asked) in zip(try await clock.run(steps), asked) {
                    let isAdmitted = answer.count > 1 && answer[1] == 1
                    ledger.note(asked.limit, admitted: isAdmitted ? asked.cost : 0, at: answer[0])
                }
                worst = max(worst, ledger.worstExcess)
                admitted += ledger.admitted
            }
            #expect(worst == 0)
            #expect(admitted > 30 * rounds)
        }
    }

    // MARK: By gates

    /// Two sidecars with two policy sets, asked in turns, until both have refused often.
    @Test(arguments: pairs) func twoPolicySetsAdmitNoMoreThanTheBound(texts: [String]) async throws {
        let limits = try texts.map(Limit.init(parsing:))
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            var gates: [GateDriver] = []
            for limit in limits {
                gates.append(try await booth.gate([Policy(name: "org", per: .org, limit: limit)]))
            }
            try await Self.expectBound(limits) { turn in await gates[turn % 5 / 4].admit(key: "laptop") }
        }
    }

    /// A key that was rotated and its successor are two records of one subject.
    @Test(arguments: pairs) func twoRecordsOfASubjectAdmitNoMoreThanTheBound(texts: [String]) async throws {
        let limits = try texts.map(Limit.init(parsing:))
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            for (name, limit) in zip(["old", "new"], limits) {
                try await booth.key(name, of: "acme", ["subject": "laptop", "limits": "key=\(limit)"])
            }
            let gate = try await booth.gate([Policy(name: "key", per: .key, limit: limits[0])])
            try await Self.expectBound(limits) { turn in await gate.admit(key: ["old", "new"][turn % 5 / 4]) }
        }
    }

    @Test(arguments: pairs) func aPlanChangedUnderLoadAdmitsNoMoreThanTheBound(texts: [String]) async throws {
        let limits = try texts.map(Limit.init(parsing:))
        try await Tollbooth.open { booth in
            try await booth.organization("acme", plan: "pro")
            try await booth.key("laptop", of: "acme")
            let policies = [Policy(name: "org", per: .org, limit: limits[0])]
            let gates = [try await booth.gate(policies), try await booth.gate(policies)]
            var inForce = 1
            try await booth.plan("pro", limits: "org=\(limits[1])")
            var charged: Set<Int> = []
            try await Self.expectBound(limits) { turn in
                // A few calls by the second, which leave room for the first, then four times as long by the first.
                let next = turn < 5 ? 1 : turn / 50 % 5 / 4
                if next != inForce {
                    inForce = next
                    try await booth.plan("pro", limits: "org=\(limits[next])")
                    try await gates[0].adopts("org=\(limits[next])", of: "pro")
                }
                // The other one learns of it ten calls later, if not by itself.
                if turn % 50 == 15 { try await gates[1].adopts("org=\(limits[next])", of: "pro") }
                let decision = await gates[turn % 2].admit(key: "laptop")
                if turn.isMultiple(of: 2), decision.isAllowed { charged.insert(next) }
                return decision
            }
            #expect(charged == [0, 1])
        }
    }

    /// - Parameter ask: asks once more.
    private static func expectBound(_ limits: [Limit], _ ask: (Int) async throws -> Decision) async throws {
        // Who is asked by which doesn't matter, as both always ask.
        let fastest = try #require(limits.max { $0.count * $1.periodMicroseconds < $1.count * $0.periodMicroseconds })
        let most = Limit(
            count: fastest.count, periodMicroseconds: fastest.periodMicroseconds,
            burst: limits.map(\.burst).max())
        var (ledger, denied) = (Ledger(), 0)
        for turn in 0..<1_500 {
            let decision = try await ask(turn)
            switch decision.reason {
            case nil: ledger.note(most, admitted: 1, at: Int(try #require(decision.limits).nowMicroseconds))
            case .rateLimited:
                denied += 1
                let status = try #require(decision.limits).statuses[0]
                #expect(status.remaining == 0 && status.retryAfterMicroseconds > 0)
            case let reason: Issue.record("\(String(describing: reason))")
            }
        }
        #expect(ledger.worstExcess == 0)
        #expect(ledger.admitted >= min(most.burst, 700) && denied > 0)
    }

    /// What a writer with a higher rate left expires before it has leaked by the reader's: nobody is told to wait longer.
    @Test func nobodyIsToldToWaitLongerThanTheStateLasts() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let quick = Limit(count: 200, periodMicroseconds: 4 * Self.second)
            let fast = try await booth.gate([Policy(name: "org", per: .org, limit: quick, cost: 200)])
            let slow = try await booth.gate([
                Policy(name: "org", per: .org, limit: Limit(count: 2, periodMicroseconds: 86_400_000_000))
            ])
            #expect(await fast.admit(key: "laptop").isAllowed)
            // The first asks Redis, the second what the first was told.
            for _ in 0..<2 {
                let denied = await slow.admit(key: "laptop")
                let status = try #require(denied.limits).statuses[0]
                #expect(denied.reason == .rateLimited(policies: [0]))
                #expect(status.remaining == 0)
                #expect((1...4_001_000).contains(status.retryAfterMicroseconds))
                #expect((1...4_001_000).contains(status.resetAfterMicroseconds))
            }
            let wait = try #require(await slow.admit(key: "laptop").limits).statuses[0].retryAfterMicroseconds
            try await Task.sleep(for: .microseconds(wait))
            #expect(await slow.admit(key: "laptop").isAllowed)
        }
    }
}
