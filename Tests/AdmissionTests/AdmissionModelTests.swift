// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import TestSupport
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits
@testable import Redis

/// What Redis should hold and answer, written from the definitions: docs/design.md, "Limits", docs/rate-limits.md.
private struct World {
    private var rates: [[UInt8]: BucketState] = [:]
    /// The same in exact fractions, as long as a bucket was only charged, and by one set of numbers.
    var exact: [[UInt8]: ExactBucket] = [:]
    /// By counter, which has its window in its name.
    var quotas: [[UInt8]: Int] = [:]
    /// When each slot lapses.
    var slots: [[UInt8]: [[UInt8]: Int]] = [:]

    struct Answer {
        var verdict: AdmitVerdict
        var owed: [Int] = []
    }

    /// - Parameter guess: the clock that the question goes by, which may be another than Redis'.
    mutating func admit(_ charge: Charge, at now: Int, guess: Int, slot: [UInt8]) -> Answer {
        for item in charge.items {
            if case .quota(let quota) = item.bucket.meter, !quota.period.window(at: guess).contains(now) {
                return Answer(verdict: .turned)
            }
        }
        let before = charge.items.map { owed($0.bucket, at: now) }
        let fits = zip(charge.items, before).map { item, owed in
            item.cost == 0 || owed + units(item) <= full(item.bucket)
        }
        let isAdmitted = zip(charge.items, fits).allSatisfy { $0.isShadow || $1 }
        var after = before
        for (index, item) in charge.items.enumerated() {
            let takes = isAdmitted && item.cost > 0 && fits[index]
            take(item, takes, owed: before[index], at: now, slot: slot)
            if takes, !item.isShadow { after[index] += units(item) }
        }
        return Answer(verdict: isAdmitted ? .admitted : .denied, owed: after)
    }

    private func units(_ item: Charge.Item) -> Int {
        if case .rate(let shape) = item.bucket.meter { shape.units(ofCost: item.cost) } else { item.cost }
    }

    private func full(_ bucket: Bucket) -> Int {
        if case .rate(let shape) = bucket.meter { shape.capacityUnits } else { bucket.capacity }
    }

    private mutating func owed(_ bucket: Bucket, at now: Int) -> Int {
        switch bucket.meter {
        case .nothing: return 0
        case .rate(let shape):
            // A look moves what a clock gone back left in the future.
            _ = exact[bucket.name]?.level(at: now)
            return rate(bucket, shape) { $0.backlog(at: now) }
        case .quota: return quotas[bucket.name(at: now)] ?? 0
        case .slots: return slots[bucket.name]?.values.count { $0 > now } ?? 0
        }
    }

    /// Whatever numbers wrote the state, the bucket goes by its own.
    @discardableResult
    mutating func rate<Answer>(_ bucket: Bucket, _ shape: BucketShape, _ act: (inout TokenBucket) -> Answer) -> Answer {
        var held = TokenBucket(shape, allowsDebt: bucket.allowsDebt, state: rates[bucket.name])
        defer { rates[bucket.name] = held.state }
        return act(&held)
    }

    private mutating func take(_ item: Charge.Item, _ takes: Bool, owed: Int, at now: Int, slot: [UInt8]) {
        let bucket = item.bucket
        switch bucket.meter {
        case .nothing: break
        case .rate(let shape):
            guard takes else { return }
            rate(bucket, shape) { $0.charge(to: owed + shape.units(ofCost: item.cost), at: now) }
            exact[bucket.name]?.charge(item.cost, at: now)
        case .quota:
            if takes { quotas[bucket.name(at: now), default: 0] += item.cost }
        case .slots(let most):
            let lapse = now + Slot.lapseMicroseconds
            if takes {
                slots[bucket.name, default: [:]] = slots[bucket.name, default: [:]].filter { $0.value > now }
                slots[bucket.name]?[slot] = lapse
            } else if owed >= most {
                slots[bucket.name] = slots[bucket.name]?.mapValues { min($0, lapse) }
            }
        }
    }
}

/// The scripts against the model, step by step, with any clock. What a caller is told is made of the answers by the code that
/// the gate uses.
@Suite struct AdmissionModelTests {
    private static let rounds = Rounds.usually(430, long: 4_300)
    private static let steps = 250

    /// Macros, which tell as much, took a tenth of the time in a debug build.
    private struct Difference: Error, CustomStringConvertible {
        let description: String

        init(_ description: String) { self.description = description }
    }

    /// Something admitted, that may be corrected or given back.
    private struct Admission {
        var charge: Charge
        var at: Int
        var slot: [UInt8]
    }

    private var dice = Dice(seed: 7)

    @Test(.timeLimit(.minutes(10))) mutating func everyStepIsAsTheModelSays() async throws {
        let seed = dice
        try await Tollbooth.open { booth in
            let clock = try AnyClock(booth.client)
            var dice = seed
            var counts: [AdmitVerdict: Int] = [:]
            var total = 0
            for round in 0..<Self.rounds {
                var play = try Play(&dice, round: round)
                for _ in 0..<Self.steps { try play.step(&dice) }
                let answers = try await clock.run(play.steps)
                try #require(answers.count == play.expected.count)
                for (index, (answer, expected)) in zip(answers, play.expected).enumerated() {
                    guard answer == expected.numbers else {
                        throw Difference("round \(round), step \(index): \(expected.what()) got \(answer)")
                    }
                    if let verdict = expected.verdict { counts[verdict, default: 0] += 1 }
                }
                total += answers.count
            }
            // As many as 430 rounds have, or in proportion.
            #expect(total * 430 >= 100_000 * Self.rounds)
            for verdict in [AdmitVerdict.admitted, .denied] {
                #expect(counts[verdict, default: 0] * 430 > 10_000 * Self.rounds)
            }
            #expect(counts[.turned, default: 0] * 430 > 100 * Self.rounds)
        }
    }

    /// One round: a few policies and what happens with them.
    private struct Play {
        struct Expected {
            /// Written where something went wrong and no earlier, since a debug build takes its time for texts.
            var what: () -> String
            var numbers: [Int]
            var verdict: AdmitVerdict?
        }

        var steps: [AnyClock.Step] = []
        var expected: [Expected] = []
        private var world = World()
        /// Of one or two policy sets, which share the names of their buckets.
        private var sets: [[Bucket]] = []
        private var now = 0
        private var admissions: [Admission] = []
        private var slotCount = 0

        init(_ dice: inout Dice, round: Int) throws {
            now = Int.random(in: 1_600_000_000_000_000...4_000_000_000_000_000, using: &dice)
            let disagree = round.isMultiple(of: 2)
            var buckets: [Bucket] = []
            for index in 0..<Int.random(in: 1...5, using: &dice) {
                let (allowance, costField) = Self.allowance(&dice)
                let policy = Policy(name: "p\(index)", per: .key, allowance, costField: costField)
                let bucket = Bucket(
                    BucketTerms(policy: index, of: policy, allowance), name: Array("r\(round)b\(index)".utf8),
                    isEnforced: Int.random(in: 0..<4, using: &dice) > 0)
                buckets.append(bucket)
                guard case .rate(let shape) = bucket.meter, !disagree else { continue }
                if case .rate(let limit) = allowance, !shape.isRounded, !bucket.allowsDebt {
                    world.exact[bucket.name] = ExactBucket(limit)
                }
            }
            sets = disagree ? [buckets, buckets.map { Self.disagreeing($0, &dice) }] : [buckets]
        }

        /// The same but for the numbers of a rate.
        private static func disagreeing(_ bucket: Bucket, _ dice: inout Dice) -> Bucket {
            guard case .rate = bucket.meter else { return bucket }
            while true {
                let (allowance, costField) = Self.allowance(&dice)
                guard case .rate(let limit) = allowance, limit.count > 0 else { continue }
                return Bucket(
                    BucketTerms(
                        policy: bucket.policy, of: Policy(name: "p", per: .key, allowance, costField: costField),
                        allowance),
                    name: bucket.name, isEnforced: bucket.isEnforced)
            }
        }

        private static func allowance(_ dice: inout Dice) -> (Allowance, String?) {
            switch Int.random(in: 0..<8, using: &dice) {
            case 0..<4:
                while true {
                    let limit = dice.limit()
                    if (try? BucketShape(limit)) != nil { return (.rate(limit), Bool.random(using: &dice) ? "x" : nil) }
                }
            case 4..<6:
                let period = CalendarPeriod.allCases.randomElement(using: &dice) ?? .hour
                let count = dice.magnitude(upTo: 1_000)
                return (.quota(CalendarQuota(count: count, per: period)), Bool.random(using: &dice) ? "x" : nil)
            case 6: return (.concurrency(Int.random(in: 1...4, using: &dice)), nil)
            default: return (.rate(Limit(count: 0, periodMicroseconds: 1_000_000, burst: 0)), nil)
            }
        }

        mutating func step(_ dice: inout Dice) throws {
            move(&dice)
            switch Int.random(in: 0..<10, using: &dice) {
            case 0: try correct(&dice)
            case 1: try release(&dice)
            case 2: try renew(&dice)
            default: try admit(&dice)
            }
        }

        private mutating func move(_ dice: inout Dice) {
            let pause: Int
            switch Int.random(in: 0..<12, using: &dice) {
            case 0: pause = Int.random(in: 0...40_000_000, using: &dice)
            case 1: pause = Int.random(in: 0...90 * 86_400_000_000, using: &dice)
            case 2: pause = -Int.random(in: 0...3_600_000_000, using: &dice)
            case 3..<7:
                let rate = sets.joined().compactMap {
                    if case .rate(let limit) = $0.allowance, limit.count > 0 { limit } else { nil }
                }
                .randomElement(using: &dice)
                pause = rate.map { dice.pause($0) } ?? 1
            default: pause = 0
            }
            now = max(1_000_000_000_000_000, min(now + pause, 6_000_000_000_000_000))
        }

        private mutating func admit(_ dice: inout Dice) throws {
            let price: Charge.Price =
                [.full, .full, .full, .full, .refused, .one, .nothing].randomElement(using: &dice) ?? .full
            let buckets = sets.randomElement(using: &dice) ?? []
            let charge = Charge(
                buckets.filter { _ in Int.random(in: 0..<5, using: &dice) > 0 }.map { bucket in
                    (bucket, Int.random(in: 0...min(9, max(1, bucket.capacity)), using: &dice))
                }, price)
            // Now and then the sidecar's idea of the time is old.
            let guess = Int.random(in: 0..<20, using: &dice) == 0 ? now - 7_200_000_000 : now
            slotCount += 1
            let slot = Array("s\(slotCount)".utf8)
            let question = Question(charge)
            steps.append(AnyClock.Step(.admit, question.call(slot: slot, at: guess), at: now))
            let answer = world.admit(charge, at: now, guess: guess, slot: slot)
            let verdict = charge.items.isEmpty ? .admitted : answer.verdict
            expected.append(
                Expected(
                    what: { "admit \(charge.items.map { "\($0.bucket.allowance) cost \($0.cost)" })" },
                    numbers: [now, Int(verdict.rawValue)] + answer.owed, verdict: verdict))
            guard verdict != .turned else { return }
            try checkStatuses(charge, answer)
            if verdict == .admitted {
                admissions.append(Admission(charge: charge, at: now, slot: slot))
            }
        }

        /// What a caller is told, against the definitions.
        private mutating func checkStatuses(_ charge: Charge, _ answer: World.Answer) throws {
            let isDenied = answer.verdict == .denied
            for (index, item) in charge.items.enumerated() where !item.isShadow {
                let owed = answer.owed[index]
                let full =
                    if case .rate(let shape) = item.bucket.meter { shape.capacityUnits } else { item.bucket.capacity }
                let units =
                    if case .rate(let shape) = item.bucket.meter { shape.units(ofCost: item.cost) } else { item.cost }
                let lacksRoom = isDenied && item.cost > 0 && owed + units > full
                guard let status = item.status(owed: owed, at: now, isDenied: lacksRoom),
                    status.capacity == item.bucket.capacity, status.remaining >= 0
                else { throw Difference("a status of \(item.bucket.allowance)") }
                let (left, reset, retry): (Int, Int?, Int)
                switch item.bucket.meter {
                case .nothing: continue
                case .quota(let quota):
                    let end = quota.period.window(at: now).end
                    (left, reset, retry) = (max(0, quota.count - owed), end - now, lacksRoom ? end - now : 0)
                case .slots(let slots):
                    (left, reset, retry) = (max(0, slots - owed), nil, lacksRoom ? 1_000_000 : 0)
                case .rate:
                    guard var exact = world.exact[item.bucket.name] else { continue }
                    (left, reset) = (exact.remaining(at: now), exact.resetMicroseconds(at: now))
                    retry = lacksRoom ? exact.retryMicroseconds(item.cost, at: now) : 0
                }
                guard status.remaining == left, status.retryAfterMicroseconds == Int64(retry),
                    reset == nil || status.resetAfterMicroseconds == reset.map(Int64.init)
                else { throw Difference("\(status) of \(item.bucket.allowance): \(left), \(reset ?? 0), \(retry)") }
            }
        }

        /// The handler says what an admitted request has cost, or it never got it.
        private mutating func correct(_ dice: inout Dice) throws {
            guard let admission = admissions.randomElement(using: &dice) else { return try admit(&dice) }
            let factor = [0, 0, 1, 2, 50].randomElement(using: &dice) ?? 0
            var words: [[UInt8]] = []
            var keys: [[UInt8]] = []
            var rates = 0
            for item in admission.charge.items where item.cost > 0 {
                let cost = factor == 0 ? 0 : item.cost * factor - 1
                switch item.bucket.meter {
                case .nothing, .slots: continue
                case .rate(let shape):
                    guard item.bucket.isEnforced else { continue }
                    let (old, new) = (
                        shape.units(ofCost: item.cost), min(shape.units(ofCost: cost), 2 * shape.capacityUnits)
                    )
                    let most = shape.mostUnits(allowingDebt: item.bucket.allowsDebt)
                    keys.append(item.bucket.name)
                    words += [shape.unitsPerMicrosecond, shape.unitsPerToken, most, old, new, admission.at].map {
                        Array("\($0)".utf8)
                    }
                    rates += 1
                    world.exact[item.bucket.name] = nil
                    // The model takes whole tokens; what is more than two capacities is cut in both.
                    world.rate(item.bucket, shape) {
                        _ = $0.correct(item.cost, to: min(cost, 2 * shape.capacity), takenAt: admission.at, at: now)
                    }
                case .quota: continue
                }
            }
            for item in admission.charge.items where item.cost > 0 && item.bucket.isEnforced {
                guard case .quota(let quota) = item.bucket.meter else { continue }
                let cost = factor == 0 ? 0 : item.cost * factor - 1
                let window = quota.period.window(at: admission.at)
                let key = item.bucket.name + Array(":\(window.name)".utf8)
                keys.append(key)
                let most = item.bucket.allowsDebt ? 2 * quota.count : quota.count
                let more = cost - item.cost
                words += [most, more, window.end].map { Array("\($0)".utf8) }
                if world.quotas[key] != nil || more > 0 && now < window.end {
                    world.quotas[key] = max(0, min(world.quotas[key, default: 0] + more, most))
                }
            }
            guard !keys.isEmpty else { return }
            steps.append(.init(.correct, keys: keys, arguments: [Array("\(rates)".utf8)] + words, at: now))
            expected.append(Expected(what: { "correct" }, numbers: [now]))
        }

        private mutating func release(_ dice: inout Dice) throws {
            guard let admission = admissions.randomElement(using: &dice), admission.charge.takesSlots else {
                return try admit(&dice)
            }
            let sets = admission.charge.slotBuckets.map(\.name)
            for set in sets { world.slots[set]?[admission.slot] = nil }
            steps.append(.init(.release, keys: sets, arguments: [admission.slot], at: now))
            expected.append(Expected(what: { "release" }, numbers: [now]))
        }

        /// Slots that are gone are taken again as long as there is room.
        private mutating func renew(_ dice: inout Dice) throws {
            guard let bucket = sets[0].first(where: { if case .slots = $0.meter { true } else { false } }) else {
                return try admit(&dice)
            }
            let names = Set(admissions.filter { $0.charge.slotBuckets.contains { $0 === bucket } }.map(\.slot))
                .sorted { $0.lexicographicallyPrecedes($1) }.prefix(6)
            var held = world.slots[bucket.name, default: [:]].filter { $0.value > now }
            var lost: [Int] = []
            for (place, name) in names.enumerated() {
                if held[name] != nil || held.count < bucket.capacity {
                    held[name] = now + Slot.lapseMicroseconds
                } else {
                    lost.append(place)
                }
            }
            world.slots[bucket.name] = held
            steps.append(
                .init(.renew, keys: [bucket.name], arguments: [Array("\(bucket.capacity)".utf8)] + names, at: now))
            expected.append(Expected(what: { "renew" }, numbers: [now] + lost))
        }
    }
}
