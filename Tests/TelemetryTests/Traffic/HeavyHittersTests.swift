// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct HeavyHittersTests {
    /// What was counted, and by how many tables.
    private struct Counted {
        var tables: [HeavyHitters<Int>]
        var exact: [Int: Int] = [:]

        init(tables: Int = 1) {
            self.tables = Array(repeating: HeavyHitters<Int>(), count: tables)
        }

        mutating func count(_ key: Int, on table: Int = 0) {
            tables[table].count(key)
            exact[key, default: 0] += 1
        }

        func top(_ most: Int) -> [HeavyHitters<Int>.Entry] {
            Ranking(tables.map(\.standing)).top(most) { "\($0)" }
        }
    }

    @Test func fewAreCountedExactly() {
        var counted = Counted(tables: 3)
        for step in 0..<30_000 { counted.count(step * step % 251, on: step % 3) }
        let top = counted.top(1_000)
        #expect(top.count == counted.exact.count)
        #expect(top.allSatisfy { $0.error == 0 && $0.count == counted.exact[$0.key] })
        #expect(top.map(\.count) == counted.exact.values.sorted(by: >))
    }

    /// 10 000 keys in turn, so that each is pushed out before it comes again, and between them some who come often.
    @Test(arguments: [1, 2, 4]) func aCrowdDoesNotHideWhoComesOften(tables: Int) throws {
        var counted = Counted(tables: tables)
        for round in 0..<20 {
            for key in 0..<10_000 {
                counted.count(key + 100, on: (key + round) % tables)
                // Each of five has one in a hundred of all.
                if key % 20 == 0 { counted.count(key / 20 % 5, on: key % tables) }
            }
        }
        let top = counted.top(20)
        #expect(Set(top.prefix(5).map(\.key)) == [0, 1, 2, 3, 4])
        for entry in top {
            let exact = try #require(counted.exact[entry.key])
            #expect(entry.count - entry.error...entry.count ~= exact)
        }
        let all = counted.exact.values.reduce(0, +)
        #expect(top.allSatisfy { $0.error <= all / HeavyHitters<Int>.most })
        for table in counted.tables { #expect(table.standing.entries.count == HeavyHitters<Int>.most) }
    }

    /// The bounds hold whatever comes.
    @Test func theTruthLiesWithinTheBounds() throws {
        for seed in 1...20 {
            var counted = Counted(tables: 2)
            var number = seed
            for _ in 0..<20_000 {
                number = (number &* 1_103_515_245 &+ 12_345) & 0x7FFF_FFFF
                // Some keys far more often than others.
                counted.count((number >> 8) % (1 + (number >> 20) % 2_000), on: number >> 7 & 1)
            }
            for entry in counted.top(.max) {
                let exact = try #require(counted.exact[entry.key])
                #expect(entry.count - entry.error...entry.count ~= exact, "seed \(seed)")
            }
        }
    }

    @Test func itBeginsAnew() {
        var table = HeavyHitters<Int>()
        for key in 0..<1_000 { table.count(key) }
        table.empty()
        #expect(table.standing.entries.isEmpty && table.standing.floor == 0)
        table.count(1)
        #expect(table.standing.entries.map(\.key) == [1])
    }

    // MARK: By spans of time

    private static func top(_ counts: CallerCounts, from start: Int = 0, at second: Int = 0) -> TopCallers {
        TopCallers([counts.standing], from: start, at: second)
    }

    @Test func keysAndOrganizationsAreCountedApart() {
        var counts = CallerCounts(at: 0)
        for _ in 0..<3 { counts.count(organization: "acme", key: "acme/a", isDenied: false) }
        for _ in 0..<2 { counts.count(organization: "acme", key: "acme/b", isDenied: true) }
        counts.count(organization: "solo", key: "solo/c", isDenied: true)
        let top = Self.top(counts)
        #expect(top.callers.map { "\($0.key ?? "") \($0.count)" } == ["acme/a 3", "acme/b 2", "solo/c 1"])
        #expect(top.organizations.map { "\($0.organization) \($0.count)" } == ["acme 5", "solo 1"])
        #expect(top.denied.map { "\($0.key ?? "") \($0.count)" } == ["acme/b 2", "solo/c 1"])
        #expect(top.deniedOrganizations.map { "\($0.organization) \($0.count)" } == ["acme 2", "solo 1"])
    }

    @Test func theSpanBeforeIsToldTooAndTheOneBeforeThatIsNot() {
        let span = CallerCounts.span
        var counts = CallerCounts(at: 10 * span)
        counts.count(organization: "acme", key: "acme/a", isDenied: false)
        counts.advance(to: 11 * span)
        counts.count(organization: "acme", key: "acme/a", isDenied: false)
        #expect(Self.top(counts).callers.map(\.count) == [2])
        #expect(Self.top(counts).since == 10 * span)
        counts.advance(to: 12 * span)
        #expect(Self.top(counts).callers.map(\.count) == [1])
        // It was idle for long.
        counts.advance(to: 20 * span)
        #expect(Self.top(counts).callers.isEmpty)
    }

    @Test func nothingIsToldOfTheTimeBeforeTheStart() {
        let counts = CallerCounts(at: 1_000_000)
        #expect(Self.top(counts, from: 999_990).since == 999_990)
    }

    /// Its former span is of another time than that of the others.
    @Test func aLoopThatIsBehindTellsItsPresentSpan() {
        let span = CallerCounts.span
        var (early, late) = (CallerCounts(at: 0), CallerCounts(at: 0))
        early.count(organization: "acme", key: "acme/a", isDenied: false)
        early.advance(to: span)
        early.count(organization: "acme", key: "acme/b", isDenied: false)
        late.advance(to: 2 * span)
        let top = TopCallers([early.standing, late.standing], from: 0, at: 0)
        #expect(top.callers.map(\.key) == ["acme/b"])
        #expect(top.since == span)
        // Or of no time that is told any more.
        late.advance(to: 3 * span)
        #expect(TopCallers([early.standing, late.standing], from: 0, at: 0).callers.isEmpty)
    }

    /// None of them has told for long.
    @Test func loopsThatAllRestAreBehindTheTime() {
        let span = CallerCounts.span
        var counts = CallerCounts(at: 0)
        counts.count(organization: "acme", key: "acme/a", isDenied: false)
        #expect(Self.top(counts, at: span).callers.map(\.key) == ["acme/a"])
        #expect(Self.top(counts, at: span).since == 0)
        #expect(Self.top(counts, at: 2 * span).callers.isEmpty)
    }

    /// Rows go from one to the other: what is remembered of them is but a hint.
    @Test func callersAreFoundWhateverRowsWereTaken() throws {
        var counts = CallerCounts(at: 0)
        var exact: [String: Int] = [:]
        for step in 0..<60_000 {
            // 1 000 once each, which push each other out, beside 20 that come again and again.
            let number = step % 3 == 0 ? step / 3 % 1_000 + 100 : step % 20
            let organization = "o\(number % 7)"
            counts.count(organization: organization, key: "\(organization)/\(number)", isDenied: step % 2 == 0)
            exact["\(organization)/\(number)", default: 0] += 1
        }
        let top = Self.top(counts)
        #expect(top.callers.count == 20)
        for entry in top.callers {
            let truth = try #require(exact[entry.key ?? ""])
            let range = (entry.count - entry.error)...entry.count
            #expect(range.contains(truth))
        }
        #expect(top.organizations.map(\.count).reduce(0, +) == 60_000)
        #expect(top.deniedOrganizations.map(\.count).reduce(0, +) == 30_000)
    }

    /// Each of 128 loops has other keys, as many as it may have, so that each table has a floor.
    @Test(.timeLimit(.minutes(1))) func manyLoopsAreRankedInTimeThatIsLinear() throws {
        let tables = (0..<256).map { table in
            var hitters = HeavyHitters<Int>()
            for key in 0..<2_000 { hitters.count(table * 10_000 + key) }
            for _ in 0...table { hitters.count(-1) }
            return hitters.standing
        }
        let floors = tables.map(\.floor).reduce(0, +)
        let began = ContinuousClock.now
        let top = Ranking(tables).top(.max) { "\($0)" }
        // By each table's keys against all that are known it would be a minute.
        #expect(ContinuousClock.now - began < .seconds(20))
        let known = tables.count * (HeavyHitters<Int>.most - 1) + 1
        #expect(floors > 0)
        #expect(top.count == known)
        let first = try #require(top.first)
        #expect(first.key == -1)
        let truth = 256 * 257 / 2
        #expect(first.count - first.error...first.count ~= truth)
        let lowest = top.map(\.count).min() ?? 0
        #expect(lowest >= floors)
    }
}
