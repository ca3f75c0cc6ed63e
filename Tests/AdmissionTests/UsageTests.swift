// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import Redis
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits

private let day = Limit(count: 1_000, periodMicroseconds: 86_400_000_000)

@Suite struct UsageTests {
    private static let policies = [
        Policy(
            name: "key", per: .key, limit: day, toolCosts: ["search": 5, "say:hi": 2],
            match: Policy.Match(tools: [Glob("search"), Glob("db_*"), Glob("list")])),
        Policy(name: "org", per: .org, limit: day),
    ]

    /// Fields of all days' counters of an organization: the test may run over midnight.
    private func usage(_ booth: Tollbooth, of organization: String) async throws -> [String: Int] {
        var sums: [String: Int] = [:]
        for name in try await booth.client.send("KEYS", "tg:1:{\(organization)}:u:*").array ?? [] {
            let fields = try await booth.client.send("HGETALL", name.text ?? "").array ?? []
            for index in stride(from: 0, to: fields.count, by: 2) {
                sums[fields[index].text ?? "", default: 0] += fields[index + 1].text.flatMap { Int($0) } ?? -1
            }
        }
        return sums
    }

    /// Waits until the counters are these; a wrong number that stays is told as what it is.
    private func expectUsage(
        _ expected: [String: Int], _ booth: Tollbooth, of organization: String = "acme",
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(20)
        var found = try await usage(booth, of: organization)
        while found != expected, clock.now < deadline {
            try await clock.sleep(for: .milliseconds(20))
            found = try await usage(booth, of: organization)
        }
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    private func open(_ body: (Tollbooth) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            try await booth.key("phone", of: "acme", ["tools": "!db_drop"])
            try await body(booth)
        }
    }

    // MARK: What is counted

    @Test func countsCallsByKeyAndToolWithWhatTheyCost() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies)
            for _ in 0..<3 { #expect(await gate.call(["search"], key: "laptop", costs: [5, 1]).isAllowed) }
            #expect(await gate.call(["say:hi"], key: "laptop", costs: [2, 1]).isAllowed)
            #expect(await gate.call([], key: "laptop", costs: [0, 1]).isAllowed)
            #expect(await gate.call([], key: "phone", costs: [0, 0]).isAllowed)
            #expect(await gate.call(["db_read"], key: "phone", costs: [1, 1]).isAllowed)
            #expect(await gate.call([nil], key: "laptop", costs: [1, 1]).isAllowed)
            try await expectUsage(
                [
                    "laptop:search:a": 3, "laptop:search:c": 15, "laptop:say%3Ahi:a": 1, "laptop:say%3Ahi:c": 2,
                    "laptop:-:a": 2, "laptop:-:c": 2, "phone:-:a": 1, "phone:other:a": 1,
                    "phone:other:c": 1,
                ], booth)
        }
    }

    @Test func aBatchCountsForEachOfItsTools() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies)
            // search 5, search 5, db_read 1, list 1, and another message for 1.
            let tools = ["search", "search", "db_read", "list"]
            #expect(await gate.call(tools, key: "laptop", costs: [13, 5]).isAllowed)
            try await expectUsage(
                [
                    "laptop:search:a": 2, "laptop:search:c": 10, "laptop:other:a": 1, "laptop:other:c": 1,
                    "laptop:list:a": 1, "laptop:list:c": 1, "laptop:-:c": 1,
                ], booth)
        }
    }

    @Test func refusalsOfAKnownKeyCountAsDenied() async throws {
        try await open { booth in
            let gate = try await booth.gate([
                Policy(name: "key", per: .key, limit: Limit(count: 2, periodMicroseconds: 86_400_000_000))
            ])
            #expect(await gate.call(["x"], key: "laptop").isAllowed)
            #expect(await gate.call(["x"], key: "laptop").isAllowed)
            #expect(await gate.call(["x"], key: "laptop").reason == .rateLimited(policies: [0]))
            #expect(await gate.call(["x"], key: "laptop").reason == .rateLimited(policies: [0]))
            // A 403 pays one token.
            #expect(await gate.call(["db_drop"], key: "phone").reason == .toolNotAllowed(Array("db_drop".utf8)))
            #expect(
                await gate.call([], key: "phone", costs: [3]).reason
                    == .costExceedsCapacity(policy: 0, cost: 3, capacity: 2))
            try await expectUsage(
                [
                    "laptop:other:a": 2, "laptop:other:c": 2, "laptop:other:d": 2, "phone:other:d": 1,
                    "phone:other:c": 1, "phone:-:d": 1, "phone:-:c": 1,
                ], booth)
        }
    }

    @Test func anothersSessionCountsAsDeniedAtNoCost() async throws {
        try await open { booth in
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, appliesTo: .all, limit: day), Self.policies[1],
            ])
            #expect(await gate.call([], key: "laptop", session: "nobody's").reason == .foreignSession)
            try await expectUsage(["laptop:-:d": 1], booth)
        }
    }

    @Test func whoHasNoKeyThatHoldsIsCountedNowhere() async throws {
        try await open { booth in
            try await booth.key("old", of: "acme", ["is_active": "0"])
            let gate = try await booth.gate(Self.policies)
            #expect(await gate.admit(key: "old").reason == .revoked)
            #expect(await gate.admit(key: "nobody").reason == .unknown)
            #expect(await gate.admit().reason == .missing)
            #expect(await gate.admit(.announced, key: "laptop").isAllowed)
            #expect(await gate.admit(.judged, key: "laptop").isAllowed)
            #expect(await gate.admit(.publicRoute).isAllowed)
            #expect(try await gate.counted() == UsageTable.Count())
            // One that was counted and is revoked since is its owner's no longer.
            #expect(await gate.call([], key: "phone", costs: [0, 1]).isAllowed)
            try await booth.change("phone", of: "acme", ["is_active": "0"])
            #expect(await gate.call([], key: "phone", costs: [0, 1]).reason == .revoked)
            try await expectUsage(["phone:-:a": 1, "phone:-:c": 1], booth)
        }
    }

    @Test func whatIsGivenBackIsNoCost() async throws {
        try await open { booth in
            let gate = try await booth.gate([
                Policy(
                    name: "key", per: .key, .rate(day), cost: 4, toolCosts: ["search": 4, "list": 1],
                    match: Policy.Match(tools: [Glob("search"), Glob("list")]), costField: "x-cost")
            ])
            #expect(await gate.call(["search"], key: "laptop", costs: [4], endsAs: .unserved).isAllowed)
            #expect(await gate.call(["search"], key: "phone", costs: [4], endsAs: .answered(cost: 9)).isAllowed)
            #expect(
                await gate.call(["search", "list"], key: "phone", costs: [5], endsAs: .answered(cost: 3)).isAllowed)
            try await expectUsage(
                [
                    "laptop:search:a": 1, "phone:search:a": 2, "phone:search:c": 9 + 3, "phone:list:a": 1,
                ], booth)
        }
    }

    @Test func aRequestThatIsHeldCountsOnceItIsDecided() async throws {
        try await open { booth in
            let gate = try await booth.gate([
                Policy(
                    name: "key", per: .key, limit: Limit(count: 1, periodMicroseconds: 3_600_000_000),
                    waitMicroseconds: 3_700_000_000)
            ])
            #expect(await gate.call([], key: "laptop").isAllowed)
            // It would be asked again after an hour.
            #expect(await gate.call([], key: "laptop").reason == .rateLimited(policies: [0]))
            #expect(try await gate.counters().denied.rateLimited == 0)
            try await expectUsage(["laptop:-:a": 1, "laptop:-:c": 1], booth)
        }
    }

    // MARK: How it is written

    @Test func countersExpireAndRecordsSayWhenTheyWereUsed() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies) { $0.usageRetentionSeconds = 5_000 }
            let revision = try await booth.client.send("HGET", "tg:1:{acme}", "rev")
            let before = try #require(try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) })
            // At the next tick.
            await gate.becomesReady()
            #expect(await gate.call(["search"], key: "laptop", costs: [5, 1]).isAllowed)
            let after = try #require(try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) })
            try await expectUsage(["laptop:search:a": 1, "laptop:search:c": 5], booth)
            let name = try #require(try await booth.client.send("KEYS", "tg:1:{acme}:u:*").array?.first?.text)
            let left = try #require(try await booth.client.send("TTL", name).integer)
            #expect((4_900...5_000).contains(left))
            let lastUse = try await booth.client.send("HGET", "tg:1:{acme}:k:laptop", "last_used_at").text
            let used = try #require(lastUse.flatMap { Int($0) })
            // As of the last tick.
            #expect((before - 1...after).contains(used))
            #expect(try await booth.client.send("HGET", "tg:1:{acme}:k:phone", "last_used_at") == .null)
            // Nothing that admission reads has changed.
            #expect(try await booth.client.send("HGET", "tg:1:{acme}", "rev") == revision)
            #expect(try await gate.counters().stale == 0)
        }
    }

    @Test func nothingComesIntoBeingForWhatIsGone() async throws {
        try await open { booth in
            try await booth.organization("gone")
            try await booth.key("ghost", of: "gone")
            let gate = try await booth.gate(Self.policies)
            for key in ["ghost", "laptop", "phone"] { #expect(await gate.admit(.announced, key: key).isAllowed) }
            _ = try await booth.client.send("DEL", "tg:1:{gone}", "tg:1:{acme}:k:phone")
            for key in ["ghost", "phone", "laptop"] { try await gate.countCall(of: key) }
            try await expectUsage(["laptop:-:a": 1], booth)
            try await gate.close()
            try await expectUsage([:], booth, of: "gone")
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:k:phone") == .integer(0))
            #expect(try await booth.client.send("EXISTS", "tg:1:{gone}") == .integer(0))
        }
    }

    @Test func closingWritesWhatIsLeft() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies)
            for _ in 0..<200 { #expect(await gate.call(["search"], key: "laptop", costs: [5, 1]).isAllowed) }
            try await gate.close()
            // No waiting: it is there when the gate is closed.
            let counted = try await usage(booth, of: "acme")
            #expect(counted == ["laptop:search:a": 200, "laptop:search:c": 1_000])
            #expect(try await gate.counters().usageLost == 0)
        }
    }

    @Test func severalGatesAddUp() async throws {
        try await open { booth in
            let gates = [try await booth.gate(Self.policies), try await booth.gate(Self.policies)]
            for _ in 0..<50 {
                for gate in gates { #expect(await gate.call(["list"], key: "phone", costs: [1, 1]).isAllowed) }
            }
            try await expectUsage(["phone:list:a": 100, "phone:list:c": 100], booth)
        }
    }

    // MARK: Without Redis

    @Test func countsAreKeptWhileRedisIsAway() async throws {
        try await Tollbooth.open(persists: true) { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(Self.policies) {
                $0.onFailure = .open
                // Of each of the first requests without Redis; none with it is that late.
                $0.timeout = .seconds(5)
            }
            #expect(await gate.call(["search"], key: "laptop", costs: [5, 1]).isAllowed)
            try await expectUsage(["laptop:search:a": 1, "laptop:search:c": 5], booth)
            try await booth.kill()
            await gate.becomesReady(false)
            // Uncharged, so at no cost.
            for _ in 0..<10 { #expect(await gate.call(["search"], key: "laptop", costs: [5, 1]).isAllowed) }
            #expect(try await gate.counted() == UsageTable.Count(allowed: 10))
            try await booth.start()
            await gate.becomesReady()
            let client = try await RedisClient.connect(to: booth.endpoint)
            defer { client.close() }
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(20)
            func allowed() async throws -> Int {
                var sum = 0
                for name in try await client.send("KEYS", "tg:1:{acme}:u:*").array ?? [] {
                    let count = try await client.send("HGET", name.text ?? "", "laptop:search:a").text
                    sum += count.flatMap { Int($0) } ?? 0
                }
                return sum
            }
            while try await allowed() < 11, clock.now < deadline { try await clock.sleep(for: .milliseconds(20)) }
            #expect(try await allowed() == 11)
            #expect(try await gate.counters().usageLost == 0)
        }
    }

    @Test func whatIsTakenHereIsCountedAsCost() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 86_400_000_000))
            ]) {
                $0.onFailure = .local
                $0.localShare = 0.5
                $0.timeout = .seconds(5)
            }
            #expect(await gate.admit(.announced, key: "laptop").isAllowed)
            try await booth.kill()
            await gate.becomesReady(false)
            for _ in 0..<2 { #expect(await gate.call([], key: "laptop", costs: [5]).isAllowed) }
            #expect(await gate.call([], key: "laptop", costs: [5]).reason == .rateLimited(policies: [0]))
            #expect(try await gate.counted() == UsageTable.Count(allowed: 2, denied: 1, cost: 10))
            // Nobody to write it to.
            try await gate.close()
            #expect(try await gate.counters().usageLost == 3)
        }
    }

    @Test func aFullRedisLosesNothing() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies) { $0.onFailure = .open }
            await gate.knows("laptop")
            try await expectUsage(["laptop:-:a": 1, "laptop:-:c": 1], booth)
            _ = try await booth.client.send("CONFIG", "SET", "maxmemory", "1")
            for _ in 0..<5 { #expect(await gate.call([], key: "laptop", costs: [0, 1]).isAllowed) }
            while try await gate.counted() != UsageTable.Count() { try await Task.sleep(for: .milliseconds(5)) }
            _ = try await booth.client.send("CONFIG", "SET", "maxmemory", "0")
            // They were charged, for admission is carried out where memory is full.
            try await expectUsage(["laptop:-:a": 6, "laptop:-:c": 6], booth)
            #expect(try await gate.counters().usageLost == 0)
        }
    }

    @Test func anAnswerThatIsLostIsNotAskedForAgain() async throws {
        try await open { booth in
            let gate = try await booth.gate(Self.policies)
            #expect(await gate.admit(.announced, key: "laptop").isAllowed)
            try await booth.freeze()
            try await gate.countCall(of: "laptop")
            // It stands in the server's socket, and nobody waits for its answer any more.
            while try await gate.counters().usageLost == 0 { try await Task.sleep(for: .milliseconds(10)) }
            try await booth.thaw()
            try await expectUsage(["laptop:-:a": 1], booth)
            try await gate.countCall(of: "laptop")
            try await expectUsage(["laptop:-:a": 2], booth)
            try await gate.close()
            #expect(try await usage(booth, of: "acme") == ["laptop:-:a": 2])
            #expect(try await gate.counters().usageLost == 1)
        }
    }
}

@Suite struct UsageTableTests {
    private static let pointer = RecordPointer(.bytes(Array("acme laptop".utf8)))

    private func key(_ number: Int, tool: Int32, day: Int32 = 20_000) -> UsageTable.Key {
        UsageTable.Key(credential: CredentialHash(of: Array("\(number)".utf8)), day: day, tool: tool)
    }

    @Test func foldsToolsAndThenDropsWhatIsTooMuch() throws {
        let pointer = try #require(Self.pointer)
        var table = UsageTable()
        let one = UsageTable.Count(allowed: 1, cost: 2)
        func add(_ count: UsageTable.Count, to key: UsageTable.Key, of pointer: RecordPointer, at seconds: Int) -> Bool
        {
            table.add(count, to: key, of: pointer, at: seconds)
        }
        for number in 0..<UsageTable.foldsAt { #expect(add(one, to: key(number, tool: 2), of: pointer, at: 7)) }
        #expect(table.cellCount == 10_000)
        // A new tool of a known key.
        #expect(add(one, to: key(0, tool: 3), of: pointer, at: 8))
        #expect(add(one, to: key(0, tool: UsageTools.none), of: pointer, at: 9))
        #expect(table[key(0, tool: 3)] == nil)
        let folded = try #require(table[key(0, tool: UsageTools.other)])
        #expect(folded.count == UsageTable.Count(allowed: 2, cost: 4))
        #expect(folded.lastUse == 9)
        // One that has a cell keeps it.
        #expect(add(one, to: key(1, tool: 2), of: pointer, at: 8))
        #expect(table[key(1, tool: 2)]?.count == UsageTable.Count(allowed: 2, cost: 4))
        for number in 1..<1_000 { #expect(add(one, to: key(number, tool: 5), of: pointer, at: 7)) }
        #expect(table.cellCount == 11_000)
        #expect(!add(one, to: key(1_000, tool: 5), of: pointer, at: 7))
        #expect(!add(one, to: key(77_777, tool: 2), of: pointer, at: 7))
        #expect(add(one, to: key(999, tool: 5), of: pointer, at: 7))
        #expect(table.cellCount == 11_000)
        let taken = table.take()
        #expect(taken.reduce(0) { $0 + $1.cells.count } == 11_000)
        #expect(table.isEmpty)
    }

    /// A place is that of another key, or of none, once the table was taken.
    @Test func aPlaceIsOnlyAHint() throws {
        let pointer = try #require(Self.pointer)
        var table = UsageTable()
        let one = UsageTable.Count(allowed: 1)
        var (first, second): (Int32, Int32) = (0, 0)
        for _ in 0..<2 {
            // In the second round the second one's leads to no cell, and the first one's to its own.
            for _ in 0..<3 {
                let isFirst = table.add(one, to: key(1, tool: 0), of: pointer, at: 7, &first)
                let isSecond = table.add(one, to: key(2, tool: 0), of: pointer, at: 8, &second)
                #expect(isFirst && isSecond)
            }
            #expect((first, second) == (0, 1))
            #expect(table[key(1, tool: 0)]?.count == UsageTable.Count(allowed: 3))
            #expect(table[key(2, tool: 0)]?.count == UsageTable.Count(allowed: 3))
            #expect(table[key(2, tool: 0)]?.lastUse == 8)
            #expect(table.take().flatMap(\.cells).count == 2)
            #expect(table[key(1, tool: 0)] == nil)
        }
    }

    @Test func aHintOfAnotherKeyToolOrDayIsNone() throws {
        let pointer = try #require(Self.pointer)
        var table = UsageTable()
        let keys = [key(1, tool: 0), key(2, tool: 0), key(1, tool: 2), key(1, tool: 0, day: 20_001)]
        var hint: Int32 = 0
        for times in 1...2 {
            for key in keys {
                let isCounted = table.add(UsageTable.Count(allowed: 1), to: key, of: pointer, at: 7, &hint)
                #expect(isCounted)
                #expect(table[key]?.count == UsageTable.Count(allowed: times))
            }
        }
        #expect(table.cellCount == 4)
        #expect(table.take().map(\.heading.day) == [20_000, 20_001])
        #expect(hint > 0)
        let isCounted = table.add(UsageTable.Count(allowed: 1), to: keys[3], of: pointer, at: 7, &hint)
        #expect(isCounted && hint == 0)
    }

    @Test func chunksAreOfOneOrganizationAndDayAndBounded() throws {
        var table = UsageTable()
        var expected = 0
        for (organization, keys) in [("acme", 100), ("beta", 42), ("gamma", 1)] {
            for number in 0..<keys {
                let pointer = try #require(RecordPointer(.bytes(Array("\(organization) k\(number)".utf8))))
                for day: Int32 in [1, 2] {
                    let cell = UsageTable.Key(
                        credential: CredentialHash(of: Array("\(organization)\(number)".utf8)), day: day, tool: 0)
                    let isCounted = table.add(
                        UsageTable.Count(allowed: 1, denied: 2), to: cell, of: pointer, at: 1)
                    #expect(isCounted)
                    expected += 3
                }
            }
        }
        let chunks = table.take()
        #expect(chunks.reduce(0) { $0 + $1.calls } == expected)
        #expect(chunks.allSatisfy { (1...42).contains($0.cells.count) })
        // Each key is in a chunk of its organization once a day.
        for day: Int32 in [1, 2] {
            let keys = chunks.filter { $0.heading.day == day }.flatMap { chunk in
                chunk.cells.map { "\(chunk.heading.organization)\($0.id.dropFirst())" }
            }
            #expect(Set(keys).count == keys.count)
            #expect(Set(keys) == Set((0..<100).map { "acme\($0)" } + (0..<42).map { "beta\($0)" } + ["gamma0"]))
        }
        // 100 keys are three calls, 42 are one.
        #expect(chunks.count == 2 * (3 + 1 + 1))
    }

    @Test func aTickSendsNoMoreThanItsPart() throws {
        var usage = Usage([])
        func count(_ number: Int) throws {
            let pointer = try #require(RecordPointer(.bytes(Array("org\(number) k".utf8))))
            let isCounted = usage.table.add(
                UsageTable.Count(allowed: 1), to: key(number, tool: 0), of: pointer, at: 1)
            #expect(isCounted)
        }
        for number in 0..<500 { try count(number) }
        let start = NIODeadline.now()
        var (sent, ticks) = (0, 0)
        while sent < 500 {
            let due = usage.due(at: start + .milliseconds(Int64(10 * ticks))).count
            // 19 for a call of one cell: 27 of them are the first beyond 512.
            #expect(due == min(27, 500 - sent))
            sent += due
            ticks += 1
        }
        #expect(ticks == 19)
        // The next second's wait for these to be settled.
        try count(1)
        let early = usage.due(at: start + .seconds(2))
        #expect(early.isEmpty)
        for _ in 0..<500 { usage.settle() }
        let next = usage.due(at: start + .seconds(2))
        #expect(next.count == 1)
        // Refused as a whole, it comes again, a second later.
        usage.keep(next[0], at: start + .seconds(2))
        let tooSoon = usage.due(at: start + .milliseconds(2_990))
        #expect(tooSoon.isEmpty)
        let again = usage.due(at: start + .seconds(3))
        #expect(again.count == 1)
        #expect(usage.underWay == 1)
    }

    @Test func toolsOfTheConfigurationHaveLabels() {
        let tools = UsageTools([
            Policy(
                name: "a", per: .key, limit: day, toolCosts: ["größe": 2, "-": 3],
                match: Policy.Match(tools: [Glob("search"), Glob("db_*"), Glob("other"), Glob("a:b")]))
        ])
        func label(_ tool: String?) -> String { tools.labels[Int(tools.place(of: tool.map { Array($0.utf8) }))] }
        #expect(label(nil) == "-")
        #expect(label("-") == "%2D")
        #expect(label("other") == "%6Fther")
        #expect(label("search") == "search")
        #expect(label("a:b") == "a%3Ab")
        #expect(label("größe") == "gr%C3%B6%C3%9Fe")
        #expect(label("db_drop") == "other")
        #expect(label("db_*") == "other")
        #expect(label("") == "other")
        #expect(UsageField.tool("gr%C3%B6%C3%9Fe") == "größe")
        #expect(UsageField.tool("a%3Ab") == "a:b")
        #expect(UsageField.tool("%2D") == "%2D")
        #expect(UsageField.tool("%6Fther") == "%6Fther")
        #expect(UsageField.tool("%zz%") == "%zz%")
        #expect(UsageField.tool("%FF") == "%FF")
    }
}
