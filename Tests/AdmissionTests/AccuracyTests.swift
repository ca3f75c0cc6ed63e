// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Foundation
import TestSupport
import Testing
@testable import Admission
@testable import Limits
@testable import Redis

/// How exact the counting is; docs/rate-limits.md quotes these.
@Suite struct AccuracyTests {
    // MARK: In the long run

    /// Who asks as soon as it may, for thousands of tokens: what it gets is what the rate gives, from one a day to a hundred
    /// thousand a second.
    @Test(arguments: [
        Limit(count: 1, periodMicroseconds: 86_400_000_000),
        Limit(count: 7, periodMicroseconds: 86_400_000_000, burst: 3),
        Limit(count: 1, periodMicroseconds: 3_600_000_000), Limit(count: 5, periodMicroseconds: 60_000_000),
        Limit(count: 20, periodMicroseconds: 10_000_000), Limit(count: 97, periodMicroseconds: 1_000_000, burst: 13),
        Limit(count: 1_000, periodMicroseconds: 1_000_000),
        Limit(count: 30_000, periodMicroseconds: 1_000_000, burst: 60),
        Limit(count: 70_000, periodMicroseconds: 1_000_000), Limit(count: 99_991, periodMicroseconds: 1_000_000),
        Limit(count: 100_000, periodMicroseconds: 1_000_000),
        // Rounded down, for it can't be counted exactly.
        Limit(count: 999_983, periodMicroseconds: 86_400_000_001, burst: 60_000),
    ])
    func theLongRunErrorIsBelowAHundredthOfAPercent(limit: Limit) throws {
        let shape = try BucketShape(limit)
        var bucket = TokenBucket(shape)
        var now = 1_763_866_666_000_000
        let start = now
        let wanted = Rounds.usually(50_000)
        for _ in 0..<limit.burst { #expect(bucket.take(1, at: now).isAdmitted) }
        for _ in 0..<wanted {
            let (isAdmitted, backlog) = bucket.take(1, at: now)
            guard !isAdmitted else { continue }
            now += shape.retryMicroseconds(backlog: backlog, cost: 1)
            try #require(bucket.take(1, at: now).isAdmitted)
        }
        let ideal = Double(wanted) * Double(limit.periodMicroseconds) / Double(limit.count)
        let error = Double(now - start) / ideal - 1
        // Never too early: the last token's microsecond is all there may be to round.
        #expect(error >= -1 / ideal && error < 0.0001, "\(limit): \(error)")
    }

    // MARK: Waiting what one was told

    /// Ten thousand random buckets in Redis: a denied caller comes back exactly when it was told, and passes; a microsecond
    /// before, it doesn't.
    @Test(.timeLimit(.minutes(5))) func whoWaitsWhatItWasToldPasses() async throws {
        try await Tollbooth.open { booth in
            let clock = try AnyClock(booth.client)
            var dice = Dice(seed: 13)
            var cases = 0
            while cases < Rounds.usually(10_000) {
                var steps: [AnyClock.Step] = []
                var expected: [(verdicts: [Int], limit: Allowance)] = []
                for index in 0..<250 {
                    let (allowance, cost) = try Self.allowance(&dice)
                    let bucket = Bucket(
                        BucketTerms(policy: 0, of: Policy(name: "p", per: .key, allowance), allowance),
                        name: Array("b\(cases + index)".utf8))
                    let start = Int.random(in: 1_600_000_000_000_000...4_000_000_000_000_000, using: &dice)
                    let later = start + Int.random(in: 0...3, using: &dice)
                    let wait = try Self.wait(bucket, cost: cost, filledAt: start, deniedAt: later)
                    func ask(_ cost: Int, at now: Int) {
                        let charge = Charge([(bucket, cost)], .full)
                        let question = Question(charge)
                        steps.append(AnyClock.Step(.admit, question.call(at: now), at: now))
                    }
                    ask(bucket.capacity, at: start)
                    ask(cost, at: later)
                    ask(cost, at: later + wait - 1)
                    ask(cost, at: later + wait)
                    expected.append(([1, 0, 0, 1], allowance))
                }
                let answers = try await clock.run(steps)
                for (index, one) in expected.enumerated() {
                    let verdicts = answers[(index * 4)..<(index * 4 + 4)].map { $0[1] }
                    // The macro takes a debug build longer than the comparison.
                    if verdicts != one.verdicts { Issue.record("\(one.limit): \(verdicts)") }
                }
                cases += expected.count
            }
        }
    }

    private static func allowance(_ dice: inout Dice) throws -> (Allowance, cost: Int) {
        guard Int.random(in: 0..<8, using: &dice) > 0 else {
            let period = CalendarPeriod.allCases.randomElement(using: &dice) ?? .hour
            let count = dice.magnitude(upTo: 1_000)
            return (.quota(CalendarQuota(count: count, per: period)), Int.random(in: 1...count, using: &dice))
        }
        while true {
            let limit = dice.limit()
            guard let shape = try? BucketShape(limit) else { continue }
            // Slow enough to be denied within the microseconds that pass.
            guard shape.unitsPerMicrosecond * 4 < shape.unitsPerToken else { continue }
            return (.rate(limit), Int.random(in: 1...limit.burst, using: &dice))
        }
    }

    /// What the caller is told, by the code that the gate uses.
    private static func wait(_ bucket: Bucket, cost: Int, filledAt start: Int, deniedAt now: Int) throws -> Int {
        let owed: Int
        switch bucket.meter {
        case .rate(let shape): owed = max(0, shape.capacityUnits - (now - start) * shape.unitsPerMicrosecond)
        case .quota, .slots, .nothing: owed = bucket.capacity
        }
        let status = try #require(
            Charge.Item(bucket: bucket, cost: cost).status(owed: owed, at: now, isDenied: true))
        return Int(status.retryAfterMicroseconds)
    }

    // MARK: Refunds

    /// Random schedules of requests, of which some are given back later: what was served in any window never exceeds what the
    /// bucket gives in it. With a plain subtraction in place of the formula it does, so this can fail.
    @Test func refundsNeverAdmitMoreThanTheLimit() throws {
        var (wrong, naivelyWrong) = (0, 0)
        var dice = Dice(seed: 17)
        let seeds = (0..<Rounds.usually(18_000)).map { _ in dice.next() }
        for seed in seeds {
            if try Self.overAdmits(seed, naively: false) { wrong += 1 }
            if try Self.overAdmits(seed, naively: true) { naivelyWrong += 1 }
        }
        #expect(wrong == 0)
        #expect(naivelyWrong > seeds.count / 6)
    }

    private static func overAdmits(_ seed: UInt64, naively: Bool) throws -> Bool {
        var dice = Dice(seed: seed)
        let limit = Limit(
            count: Int.random(in: 1...10, using: &dice), periodMicroseconds: 1_000,
            burst: Int.random(in: 1...8, using: &dice))
        let shape = try BucketShape(limit)
        var bucket = TokenBucket(shape)
        var now = 1_000_000
        var served: [(at: Int, cost: Int)] = []
        var open: [(cost: Int, at: Int)] = []
        for _ in 0..<40 {
            now += Int.random(in: 0...400, using: &dice)
            if let index = open.indices.randomElement(using: &dice), Int.random(in: 0..<3, using: &dice) == 0 {
                let one = open.remove(at: index)
                if naively {
                    bucket.charge(to: max(0, bucket.backlog(at: now) - shape.units(ofCost: one.cost)), at: now)
                } else {
                    bucket.correct(one.cost, to: 0, takenAt: one.at, at: now)
                }
                served.remove(at: try #require(served.firstIndex { $0.at == one.at && $0.cost == one.cost }))
                continue
            }
            let cost = Int.random(in: 1...limit.burst, using: &dice)
            guard bucket.take(cost, at: now).isAdmitted else { continue }
            served.append((now, cost))
            open.append((cost, now))
        }
        for (index, first) in served.enumerated() {
            var sum = 0
            for last in served[index...] {
                sum += last.cost
                let most = shape.capacityUnits + (last.at - first.at) * shape.unitsPerMicrosecond
                if shape.units(ofCost: sum) > most { return true }
            }
        }
        return false
    }

    // MARK: Clocks that are set

    /// Redis' clock an hour forward: at most one capacity more. An hour back: nobody waits longer than a full bucket, or a
    /// slot, takes, and a quota's window isn't given out again.
    @Test func aClockThatIsSetLocksNobodyOutAndGivesAtMostOneCapacityMore() async throws {
        try await Tollbooth.open { booth in
            let clock = try AnyClock(booth.client)
            let hour = 3_600_000_000
            let noon = 1_767_268_800_000_000
            let rate = Allowance.rate(Limit(count: 10, periodMicroseconds: 600_000_000))
            func bucket(_ allowance: Allowance) -> Bucket {
                Bucket(BucketTerms(policy: 0, of: Policy(name: "p", per: .key, allowance), allowance), name: [0x62])
            }
            func asked(_ bucket: Bucket, _ times: Range<Int>, at now: Int) -> [AnyClock.Step] {
                times.map { number in
                    let question = Question(Charge([(bucket, 1)], .full))
                    return AnyClock.Step(
                        .admit, question.call(slot: Array("s\(number)".utf8), at: now), at: now)
                }
            }
            func admitted(_ steps: [AnyClock.Step]) async throws -> [Bool] {
                try await clock.run(steps).map { $0[1] == 1 }
            }
            let tokens = bucket(rate)
            // Forward, and forward again: each time a bucket that is full.
            let forward = try await admitted(
                asked(tokens, 0..<15, at: noon) + asked(tokens, 15..<40, at: noon + hour))
            #expect(forward.count { $0 } == 20)
            // Back: what was owed is owed, and gone within ten minutes.
            let back = try await admitted(
                asked(tokens, 0..<10, at: noon) + asked(tokens, 10..<20, at: noon - hour)
                    + asked(tokens, 20..<21, at: noon - hour + 59_999_999)
                    + asked(tokens, 21..<22, at: noon - hour + 60_000_000)
                    + asked(tokens, 22..<40, at: noon - hour + 660_000_000))
            #expect(
                back == Array(repeating: true, count: 10) + Array(repeating: false, count: 11)
                    + Array(repeating: true, count: 11) + Array(repeating: false, count: 8))
            // Slots: free within their thirty seconds, whatever was written before.
            let slots = bucket(.concurrency(3))
            let answers = try await admitted(
                asked(slots, 0..<4, at: noon) + asked(slots, 4..<5, at: noon - hour)
                    + asked(slots, 5..<6, at: noon - hour + 29_999_999)
                    + asked(slots, 6..<10, at: noon - hour + 30_000_000))
            #expect(answers == [true, true, true, false, false, false, true, true, true, false])
            // A quota: the window before is the window before, and this one's count is kept.
            let quota = bucket(.quota(CalendarQuota(count: 2, per: .hour)))
            let windows = try await admitted(
                asked(quota, 0..<3, at: noon) + asked(quota, 3..<6, at: noon - hour) + asked(quota, 6..<7, at: noon)
                    + asked(quota, 7..<10, at: noon + hour))
            #expect(windows == [true, true, false, true, true, false, false, true, true, false])
        }
    }

    // MARK: What Redis holds

    /// A denied call changes no octet of anything, except where a state had to be cut.
    @Test func aDenialChangesNothing() async throws {
        try await Tollbooth.open { booth in
            var dice = Dice(seed: 19)
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            var compared = 0
            for _ in 0..<25 {
                let policies = (0..<Int.random(in: 1...4, using: &dice)).map { index in
                    let allowance: Allowance =
                        switch Int.random(in: 0..<3, using: &dice) {
                        case 0:
                            .rate(
                                Limit(
                                    count: 5, periodMicroseconds: 86_400_000_000,
                                    burst: .random(in: 2...9, using: &dice)))
                        case 1: .quota(CalendarQuota(count: .random(in: 2...9, using: &dice), per: .month))
                        default: .concurrency(.random(in: 2...9, using: &dice))
                        }
                    let subject = Policy.Subject.allCases.randomElement(using: &dice) ?? .key
                    return Policy(
                        name: "p\(index)", per: subject,
                        appliesTo: subject == .address || subject == .global ? .all : nil,
                        allowance, mode: Int.random(in: 0..<4, using: &dice) == 0 ? .shadow : .enforce)
                }
                // One that denies in the end, whatever the others are.
                let last = Policy(name: "last", per: .org, limit: Limit(count: 3, periodMicroseconds: 86_400_000_000))
                let began = ContinuousClock.now
                let gate = try await booth.gate(policies + [last])
                while await gate.admit(key: "laptop").isAllowed {}
                // It would renew its slots.
                try await gate.close()
                let before = try await booth.everything()
                #expect(!before.isEmpty)
                // Another gate, which remembers nothing, asks Redis each time.
                let other = try await booth.gate(policies + [last])
                #expect(await !other.admit(key: "laptop").isAllowed)
                let after = try await booth.everything()
                // Slots end by themselves after 30 s, which a slow build may take.
                if began.duration(to: .now) < .seconds(30) {
                    #expect(after == before)
                    compared += 1
                }
                try await other.close()
                _ = try await booth.client.send(
                    "EVAL", "for _, k in ipairs(redis.call('KEYS', '*:[bqc]:*')) do redis.call('DEL', k) end", "0")
            }
            #expect(compared > 0)
        }
    }

    /// 128 octets for most names of the default policies, 136 for the longer ones; and nothing without an end but records and indexes.
    @Test func aBucketIsSmallAndEnds() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("7h3kq2mzxb", of: "acme")
            let odd = Limit(count: 7, periodMicroseconds: 10_000_000)
            let gate = try await booth.gate(
                Policy.builtIn() + [
                    Policy(name: "search", per: .key, limit: odd), Policy(name: "calls", per: .key, .concurrency(3)),
                    Policy(name: "monthly", per: .org, .quota(CalendarQuota(count: 9, per: .month))),
                ])
            for (name, most) in [
                ("tg:1:{acme}:b:org", 128), ("tg:1:{a:203.0.113.9}:b:address", 136),
                ("tg:1:{acme}:b:search:7h3kq2mzxb", 136),
            ] {
                var usage: Int64?
                // It ends half a second after its call, which a busy machine may take to look.
                while usage == nil {
                    _ = await gate.admit(key: "7h3kq2mzxb")
                    _ = await gate.admit(.publicRoute)
                    usage = try await booth.client.send("MEMORY", "USAGE", name).integer
                }
                #expect(usage ?? .max <= most, "\(name)")
            }
            for name in try await booth.client.send("KEYS", "*").array ?? [] {
                let name = name.text ?? ""
                let isRecord =
                    name == "tg:1:{:m}:meta" || name == "tg:1:{acme}" || name.contains(":cred:") || name.contains(":k:")
                let left = try await booth.client.send("PTTL", name).integer ?? 0
                #expect(isRecord == (left == -1), "\(name): \(left)")
            }
        }
    }
}

extension Tollbooth {
    /// Every bucket, quota and set of slots as Redis dumps it.
    fileprivate func everything() async throws -> [String: RedisReply] {
        var found: [String: RedisReply] = [:]
        for name in (try await client.send("KEYS", "*:[bqc]:*").array ?? []).compactMap(\.text) {
            found[name] = try await client.send("DUMP", name)
        }
        return found
    }
}

/// On whom a share of subjects is enforced.
@Suite struct ShareTests {
    @Test func aLargerShareOnlyAddsSubjects() throws {
        let subjects = (0..<10_000).map { "acme/key\($0)" }
        var before: Set<String> = []
        for percent in ["0%", "0.5%", "5%", "25%", "60%", "99.99%", "100%"] {
            let mode = try #require(Policy.Mode(percent))
            let enforced = Set(subjects.filter { mode.enforces("search", on: $0) })
            #expect(before.isSubset(of: enforced))
            let share = (Double(percent.dropLast()) ?? 0) / 100
            #expect(abs(Double(enforced.count) / 10_000 - share) < 0.02)
            before = enforced
        }
        #expect(before.count == 10_000)
    }

    /// The same on every sidecar and in every version.
    @Test func theOrderOfSubjectsIsForGood() throws {
        let half = try #require(Policy.Mode("50%"))
        #expect((0..<12).map { half.enforces("search", on: "acme/k\($0)") } == Self.chosen)
    }

    private static let chosen = (0..<12).map { number in
        CredentialHash(of: Array("search:acme/k\(number)".utf8)).hexadecimal[0] < UInt8(ascii: "8")
    }

    @Test(arguments: ["50", "101%", "-1%", "0.125%", "", "%", "1e1%", "shade", "05%"]) func isNoMode(text: String) {
        #expect(Policy.Mode(text) == nil)
    }

    @Test(arguments: ["enforce", "shadow", "0%", "25%", "0.5%", "12.05%", "100%"]) func readsBack(text: String) throws {
        #expect(try #require(Policy.Mode(text)).description == text)
    }
}

@Suite struct AllowanceTests {
    @Test(arguments: [
        ("20/10s", Allowance.rate(Limit(count: 20, periodMicroseconds: 10_000_000))),
        ("100/10s:200", .rate(Limit(count: 100, periodMicroseconds: 10_000_000, burst: 200))),
        ("5000/month", .quota(CalendarQuota(count: 5_000, per: .month))),
        ("0/day", .quota(CalendarQuota(count: 0, per: .day))),
        ("8", .concurrency(8)), ("0", .concurrency(0)),
    ]) func readsBack(text: String, allowance: Allowance) throws {
        #expect(try Allowance(parsing: text) == allowance)
        #expect(allowance.description == text)
    }

    @Test(arguments: [
        "", "x", "-1", "08", "1.5", "5/year", "/month", "05/month", "5/month:7", "+5/day", "5 /day", "1e3",
    ])
    func isNone(text: String) {
        #expect(throws: LimitError.self) { try Allowance(parsing: text) }
    }

    @Test func statusesReadBack() throws {
        let some = try #require(StatusSet(["2xx", "404", "410"]))
        #expect(some.texts == ["2xx", "404", "410"])
        #expect(
            [200, 299, 404, 410].allSatisfy(some.contains) && ![199, 300, 403, 500].contains(where: some.contains))
        #expect(StatusSet.all.contains(599) && StatusSet.all.texts.isEmpty)
        for wrong in [["1xx"], ["600"], ["2XX"], ["20"], ["ok"], [""]] { #expect(StatusSet(wrong) == nil) }
    }
}
