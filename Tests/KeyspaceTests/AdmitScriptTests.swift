// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import TestSupport
import Testing
@testable import Keyspace
@testable import Limits

/// The script in a real Redis against the in-process bucket and against exact arithmetic.
@Suite struct AdmitScriptTests {
    private struct Asked {
        var limit: Limit
        var shape: BucketShape
        var cost: Int
    }

    private struct Answer: Equatable {
        var now: Int
        var verdict: Int64
        var backlogs: [Int]
    }

    private func ask(
        _ client: RedisClient, _ script: RedisScript, _ asked: [(name: String, Asked)], clock: Int? = nil
    ) async throws -> Answer {
        var command = RedisCommand(script, keyCount: asked.count)
        for (name, _) in asked { command.append(name) }
        command.append("")
        command.append(
            doubles: asked.flatMap { _, bucket in
                let shape = bucket.shape
                let cost = shape.units(ofCost: bucket.cost)
                return [shape.unitsPerMicrosecond, shape.capacityUnits, shape.unitsPerToken, cost]
            })
        if clock != nil { for _ in 3...7 { command.append("") } }
        if let clock {
            command.append(Int64(clock / 1_000_000))
            command.append(Int64(clock % 1_000_000))
        }
        let reply = try await client.send(command)
        let answer = try #require(AdmitAnswer(reply))
        try #require(answer.count == asked.count + 2)
        let numbers = try (0..<answer.count).map { try #require(answer[$0]) }
        return Answer(now: numbers[0], verdict: Int64(numbers[1]), backlogs: Array(numbers[2...]))
    }

    /// Compares one answer with both models, which take the same step.
    private func check(
        _ answer: Answer, _ asked: [Asked], _ buckets: inout [TokenBucket], _ oracles: inout [ExactBucket]
    ) -> Bool {
        let now = answer.now
        let mayPass = asked.indices.map { oracles[$0].admits(asked[$0].cost, at: now) }.allSatisfy { $0 }
        let fits = asked.indices.map { index in
            let backlog = buckets[index].backlog(at: now)
            return asked[index].shape.admits(cost: asked[index].cost, backlog: backlog)
        }.allSatisfy { $0 }
        var isSame = (answer.verdict == 1) == mayPass && fits == mayPass
        for index in asked.indices {
            if mayPass {
                oracles[index].charge(asked[index].cost, at: now)
                _ = buckets[index].take(asked[index].cost, at: now)
            }
            let backlog = answer.backlogs[index]
            let (shape, cost) = (asked[index].shape, asked[index].cost)
            isSame = isSame && backlog == buckets[index].backlog(at: now)
            isSame = isSame && shape.remaining(backlog: backlog) == oracles[index].remaining(at: now)
            isSame = isSame && shape.resetMicroseconds(backlog: backlog) == oracles[index].resetMicroseconds(at: now)
            if !mayPass {
                let retry = oracles[index].retryMicroseconds(cost, at: now)
                isSame = isSame && shape.retryMicroseconds(backlog: backlog, cost: cost) == retry
            }
        }
        return isSame
    }

    /// The script as shipped, by the server's own clock: rates so high that microseconds count.
    @Test(.timeLimit(.minutes(3))) func agreesWithBucketAndOracleByTheServersClock() async throws {
        try await Tollbooth.open { booth in
            var dice = Dice(seed: 4)
            var (steps, denials) = (0, 0)
            for round in 0..<40 {
                let limits = (0..<Int.random(in: 1...4, using: &dice)).map { _ in
                    Limit(
                        count: Int.random(in: 1_000...3_000_000, using: &dice), periodMicroseconds: 1_000_000,
                        burst: Int.random(in: 1...400, using: &dice))
                }
                let shapes = try limits.map { limit throws(LimitError) in try BucketShape(limit) }
                var buckets = shapes.map { TokenBucket($0) }
                var oracles = limits.map(ExactBucket.init)
                for _ in 0..<200 {
                    let asked = limits.indices.map { index in
                        let cost = Int.random(in: 0...limits[index].burst, using: &dice)
                        return Asked(limit: limits[index], shape: shapes[index], cost: cost)
                    }
                    let named = asked.enumerated().map { (name: "r\(round):b\($0.offset)", $0.element) }
                    let answer = try await ask(booth.client, RedisScript.admit, named)
                    try #require(check(answer, asked, &buckets, &oracles), "round \(round), step \(steps)")
                    denials += answer.verdict == 0 ? 1 : 0
                    steps += 1
                }
            }
            #expect(steps == 8_000)
            #expect(denials > 100)
        }
    }

    /// The same source but for the line that reads the clock: days pass between steps, and the clock goes back.
    @Test(.timeLimit(.minutes(3))) func agreesWithBucketAndOracleByAnyClock() async throws {
        let clock = "local time = call('TIME')"
        try #require(admitScriptSource.split(separator: "\n").count { $0 == clock } == 1)
        let source = admitScriptSource.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0 == clock ? "local time = {ARGV[#ARGV - 1], ARGV[#ARGV]}" : String($0) }.joined(separator: "\n")
            .replacing(/call\('PEXPIRETIME', key[12]?\)/, with: "-1")
        let script = RedisScript(name: "admit by any clock", source: source)
        try await Tollbooth.open { booth in
            var dice = Dice(seed: 5)
            var (steps, denials) = (0, 0)
            for round in 0..<120 {
                // A token takes 10 s or longer: Redis' own clock, which expires the buckets, doesn't matter here.
                let limits = (0..<Int.random(in: 1...3, using: &dice)).map { _ in
                    let count = Int.random(in: 1...300, using: &dice)
                    return Limit(
                        count: count, periodMicroseconds: count * Int.random(in: 10_000_000...90_000_000, using: &dice),
                        burst: dice.magnitude(upTo: 2_000))
                }.filter { (try? BucketShape($0))?.isRounded == false }
                guard !limits.isEmpty else { continue }
                let shapes = try limits.map { limit throws(LimitError) in try BucketShape(limit) }
                var buckets = shapes.map { TokenBucket($0) }
                var oracles = limits.map(ExactBucket.init)
                var now = 1_763_866_666_000_000
                for _ in 0..<200 {
                    now += dice.pause(limits[0])
                    let asked = limits.indices.map { index in
                        let most = min(limits[index].burst, 9)
                        let cost = Int.random(in: 0...most, using: &dice)
                        return Asked(limit: limits[index], shape: shapes[index], cost: cost)
                    }
                    let named = asked.enumerated().map { (name: "v\(round):b\($0.offset)", $0.element) }
                    let answer = try await ask(booth.client, script, named, clock: now)
                    try #require(answer.now == now)
                    try #require(check(answer, asked, &buckets, &oracles), "round \(round), step \(steps)")
                    denials += answer.verdict == 0 ? 1 : 0
                    steps += 1
                }
            }
            #expect(steps >= 20_000)
            #expect(denials > 1_000)
        }
    }

    @Test func chargesAllOrNothing() async throws {
        try await Tollbooth.open { booth in
            let (wide, narrow) = (
                Limit(count: 10, periodMicroseconds: 60_000_000), Limit(count: 1, periodMicroseconds: 60_000_000)
            )
            let asked = try [("wide", wide), ("narrow", narrow)].map { name, limit in
                (name: name, Asked(limit: limit, shape: try BucketShape(limit), cost: 1))
            }
            #expect(try await ask(booth.client, RedisScript.admit, asked).verdict == 1)
            let stored = try await booth.client.send("MGET", "wide", "narrow")
            for _ in 0..<5 { #expect(try await ask(booth.client, RedisScript.admit, asked).verdict == 0) }
            #expect(try await booth.client.send("MGET", "wide", "narrow") == stored)
        }
    }

    @Test func aLookWritesNothing() async throws {
        try await Tollbooth.open { booth in
            let limit = Limit(count: 10, periodMicroseconds: 60_000_000)
            let asked = [(name: "b", Asked(limit: limit, shape: try BucketShape(limit), cost: 0))]
            let answer = try await ask(booth.client, RedisScript.admit, asked)
            #expect(answer.verdict == 1)
            #expect(answer.backlogs == [0])
            #expect(try await booth.client.send("EXISTS", "b") == .integer(0))
        }
    }

    @Test func storesWhatIsOwedAndExpiresOnceItHasLeaked() async throws {
        try await Tollbooth.open { booth in
            // 7 units leak a microsecond, a token is 10 000 000 units: 1 428 571 µs and 3 units.
            let limit = Limit(count: 70, periodMicroseconds: 100_000_000)
            let shape = try BucketShape(limit)
            #expect([shape.unitsPerMicrosecond, shape.unitsPerToken] == [7, 10_000_000])
            let asked = [(name: "b", Asked(limit: limit, shape: shape, cost: 70))]
            let answer = try await ask(booth.client, RedisScript.admit, asked)
            #expect(answer.backlogs == [700_000_000])
            let state = BucketState(owed: 700_000_000, unitsPerToken: 10_000_000, writtenAt: answer.now)
            #expect(try await booth.client.send("GET", "b") == .bytes(state.packed))
            #expect(state.packed.count == 24)
            let left = try #require(try await booth.client.send("PTTL", "b").integer)
            #expect((40_000...100_000).contains(left))

            let odd = [(name: "c", Asked(limit: limit, shape: shape, cost: 1))]
            var (second, last): (Answer, Int64)
            // Until somebody looks before it has ended.
            repeat {
                second = try await ask(booth.client, RedisScript.admit, odd)
                last = try #require(try await booth.client.send("PEXPIRETIME", "c").integer)
            } while last == -2
            #expect((0...1).contains(Int(last) - (second.now / 1_000 + 1_429)))
        }
    }

    /// A clock that went back must not make anybody wait for it: the debt is the same from now on, whoever looks.
    @Test(arguments: [0, 1], [1, 2, 3]) func writesADebtOfTheFutureAnew(cost: Int, rates: Int) async throws {
        try await Tollbooth.open { booth in
            let limit = Limit(count: 1, periodMicroseconds: 10_000_000)
            let shape = try BucketShape(limit)
            // Three tokens of another writer's, more than the bucket holds; and octets of a later version.
            let future = BucketState(owed: 21, unitsPerToken: 7, writtenAt: 9_000_000_000_000_000)
            let names = (0..<rates).map { "b\($0)" }
            for name in names { _ = try await booth.client.set(name, to: future.packed + [1, 2, 3]) }
            let asked = names.map { (name: $0, Asked(limit: limit, shape: shape, cost: cost)) }
            let answer = try await ask(booth.client, RedisScript.admit, asked)
            #expect(answer.verdict == (cost == 0 ? 1 : 0))
            #expect(answer.backlogs == names.map { _ in 3 * shape.unitsPerToken })
            let state = BucketState(owed: 21, unitsPerToken: 7, writtenAt: answer.now)
            for name in names {
                #expect(try await booth.client.send("GET", name) == .bytes(state.packed))
                let last = try #require(try await booth.client.send("PEXPIRETIME", name).integer)
                #expect((0...1).contains(Int(last) - (answer.now / 1_000 + 30_000)))
            }
        }
    }

    @Test(arguments: [
        "", "x", "1763866666000000 3", String(repeating: "\0", count: 24), String(repeating: "9", count: 40),
    ])
    func takesAStateItCannotReadForAFullBucket(state: String) async throws {
        try await Tollbooth.open { booth in
            let limit = Limit(count: 2, periodMicroseconds: 60_000_000)
            let asked = [(name: "b", Asked(limit: limit, shape: try BucketShape(limit), cost: 1))]
            _ = try await booth.client.send("SET", "b", state)
            let answer = try await ask(booth.client, RedisScript.admit, asked)
            #expect(answer.verdict == 1)
            #expect(answer.backlogs == [30_000_000])
            #expect(BucketState(packed: Array(state.utf8)) == nil)
        }
    }

    @Test(arguments: 1...3) func takesWhatIsNoStringForAFullBucket(rates: Int) async throws {
        try await Tollbooth.open { booth in
            let limit = Limit(count: 2, periodMicroseconds: 60_000_000)
            let names = (0..<rates).map { "b\($0)" }
            let asked = try names.map { (name: $0, Asked(limit: limit, shape: try BucketShape(limit), cost: 1)) }
            for name in names { _ = try await booth.client.send("HSET", name, "a", "b") }
            let answer = try await ask(booth.client, RedisScript.admit, asked)
            #expect(answer.verdict == 1)
            #expect(answer.backlogs == names.map { _ in 30_000_000 })
            for name in names { #expect(try await booth.client.send("STRLEN", name) == .integer(24)) }
        }
    }

    /// What a faster writer left is gone before it has leaked by the reader's rate: that is told of each rate, as 0 of those
    /// that it isn't so of.
    @Test(arguments: 1...3) func tellsWhenAStateExpiresBeforeItHasLeaked(rates: Int) async throws {
        try await Tollbooth.open { booth in
            let slow = Limit(count: 1, periodMicroseconds: 60_000_000)
            let shape = try BucketShape(slow)
            let asked = (0..<rates).map { (name: "b\($0)", Asked(limit: slow, shape: shape, cost: 1)) }
            // The last of them; the others are empty.
            let last = rates - 1
            let begun = try await ask(booth.client, RedisScript.admit, [asked[last]])
            let state = BucketState(
                owed: shape.unitsPerToken, unitsPerToken: shape.unitsPerToken, writtenAt: begun.now)
            _ = try await booth.client.set("b\(last)", to: state.packed)
            _ = try await booth.client.send("PEXPIRE", "b\(last)", "40000")
            var command = RedisCommand(RedisScript.admit, keyCount: rates)
            for (name, _) in asked { command.append(name) }
            command.append("")
            command.append(
                doubles: asked.flatMap { _ in
                    [shape.unitsPerMicrosecond, shape.capacityUnits, shape.unitsPerToken, shape.unitsPerToken]
                })
            let answer = try #require(AdmitAnswer(try await booth.client.send(command)))
            try #require(answer.count == 2 + 2 * rates)
            let numbers = try (0..<answer.count).map { try #require(answer[$0]) }
            #expect(numbers[1] == 0)
            #expect(numbers[2..<2 + last].allSatisfy { $0 == 0 })
            #expect(numbers[(2 + rates)..<(2 + rates + last)].allSatisfy { $0 == 0 })
            #expect((1...40_001_000).contains(numbers[2 + rates + last]))
        }
    }

    /// What the scripts are refused on, a demoted primary, answers nothing rather than something stale.
    @Test func aReplicaRefusesThemWhole() async throws {
        try await Tollbooth.open { booth in
            _ = try await booth.client.send("REPLICAOF", "127.0.0.1", "1")
            for (script, keys) in [
                (RedisScript.admit, 0), (RedisScript.lookup, 1), (RedisScript.load, 1), (RedisScript.instance, 1),
                (RedisScript.session, 1), (RedisScript.correct, 1), (RedisScript.renew, 1), (RedisScript.release, 1),
                (RedisScript.plan, 1),
            ] {
                var command = RedisCommand(script, keyCount: keys)
                for key in 0..<keys { command.append("k\(key)") }
                for argument in ["", "0", "1", "1"] { command.append(argument) }
                await #expect(throws: RedisError.self) { try await booth.client.send(command) }
            }
        }
    }
}
