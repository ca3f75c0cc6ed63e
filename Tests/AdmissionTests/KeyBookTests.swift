// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Redis
import TestSupport
import Testing
@testable import Keyspace
@testable import Limits

@testable import Admission

@Suite struct KeyBookTests {
    private enum Seen: Equatable {
        case key(String, isFresh: Bool)
        case unknown, unproven, beyondBudget, tooLong, lost
        case absent(Absence)

        init(_ finding: KeyBook.Finding) {
            switch finding {
            case .key(let entry, let isFresh): self = .key(entry.principal.keyID, isFresh: isFresh)
            case .unknown: self = .unknown
            case .unproven: self = .unproven
            case .beyondBudget: self = .beyondBudget
            case .tooLong: self = .tooLong
            case .lost: self = .lost
            case .absent(let absence): self = .absent(absence)
            }
        }
    }

    /// A key book, and what it has found for each ask, by the ask's name.
    private final class Reader {
        let bench = Bench()
        let book: KeyBook
        let cache: KeyCache
        private(set) var seen: [String: [Seen]] = [:]
        private var asks: [ObjectIdentifier: String] = [:]

        init() {
            let (store, logger) = (bench.store, Bench.logger)
            let waits = Waits(on: bench.loop)
            let complaints = Complaints(about: [], to: logger)
            let plans = PlanBook(on: store, complaints: complaints)
            cache = KeyCache(
                capacity: 100, named: store.names, [], saying: MetaChoice([], complaints), plans: plans,
                seen: store.seen, complaints: complaints)
            book = KeyBook(
                on: store, waits: waits, cache: cache, plans: plans, checks: CheckBook(on: store, by: KeyCheck()),
                complaints: complaints, addressPrefix: AddressPrefix(), blocks: 100)
            book.onFinding = { [unowned self] ask, finding in self.note(ask, finding) }
        }

        var redis: StubLink { bench.redis }

        @discardableResult
        func ask(_ name: String, for key: String, from address: String = "203.0.113.9") -> Ask {
            let ask = ask(name, from: address)
            if let finding = book.find(CredentialHash(key), for: ask) { note(ask, finding) }
            return ask
        }

        func ask(_ name: String, from address: String = "203.0.113.9") -> Ask {
            let request = AdmissionRequest(kind: .protected, address: address, selection: PolicySelection())
            let ask = Ask(request, at: bench.now, within: bench.link.timeout) { _, _ in }
            asks[ObjectIdentifier(ask)] = name
            return ask
        }

        private func note(_ ask: Ask, _ finding: KeyBook.Finding) {
            #expect(!ask.isDone)
            seen[asks[ObjectIdentifier(ask)] ?? "", default: []].append(Seen(finding))
            _ = ask.end(.deny(Denial(reason: .unknown)))
        }

        func pass(_ time: TimeAmount) {
            bench.pass(time) { book.advance($0) }
        }

        /// Looked up and read.
        func knows(_ key: String) {
            ask("first of \(key)", for: key)
            answerLookup(.text("acme \(key)"))
            redis.answer(.organization(), .record(of: key))
        }

        /// Which record a credential names, and which database says so.
        @discardableResult
        func answerLookup(_ pointer: RedisReply, of database: String = "id") -> String {
            let question = redis.answer(pointer)
            #expect(redis.answer(.text(database)) == "instance tg:1:{:m}:meta ")
            return question
        }
    }

    /// It is asked for once more by the next one: nothing was learned.
    @Test func aPlanThatDoesNotComeIsAnAbsence() {
        let reader = Reader()
        for (name, error, absence) in [
            ("a", RedisError.timeout, Absence.late), ("b", .notConnected("gone"), .failed(.notConnected("gone"))),
            ("c", .server("ERR odd"), .failed(.server("ERR odd"))),
        ] {
            reader.ask(name, for: "laptop")
            reader.answerLookup(.text("acme laptop"))
            reader.redis.answer(.organization(plan: "gold"), .record(of: "laptop"))
            #expect(reader.redis.scripts == ["plan"])
            reader.bench.loop.advanceTime(by: .milliseconds(250))
            reader.redis.answer(.failure(error))
            #expect(reader.seen[name] == [.absent(absence)])
        }
        reader.ask("d", for: "laptop")
        reader.answerLookup(.text("acme laptop"))
        reader.redis.answer(.organization(plan: "gold"), .record(of: "laptop"))
        reader.redis.answer(.text("1"), .null)
        #expect(reader.seen["d"] == [.key("acme/laptop", isFresh: true)])
    }

    @Test func aKeyIsLookedUpOnceHoweverManyAsk() {
        let reader = Reader()
        for name in ["a", "b"] { reader.ask(name, for: "laptop") }
        #expect(reader.redis.scripts == ["lookup", "instance"])
        let question = reader.answerLookup(.text("acme laptop"))
        #expect(question.hasPrefix("lookup tg:1:cred:"))
        reader.ask("c", for: "laptop")
        #expect(reader.redis.scripts == ["load"])
        let load = reader.redis.answer(.organization(), .record(of: "laptop"))
        #expect(load == "load tg:1:{acme} tg:1:{acme}:k:laptop")
        for name in ["a", "b", "c"] { #expect(reader.seen[name] == [.key("acme/laptop", isFresh: true)]) }
        reader.ask("d", for: "laptop")
        #expect(reader.seen["d"] == [.key("acme/laptop", isFresh: false)])
        #expect(reader.redis.questions.isEmpty)
        let counters = reader.book.counters
        #expect([counters.lookups, counters.loads, counters.recordHits] == [1, 1, 1])
    }

    @Test func whatIsNoKeyIsNoneForASecond() {
        let reader = Reader()
        reader.ask("a", for: "junk")
        reader.answerLookup(.null)
        #expect(reader.seen["a"] == [.unknown])
        reader.pass(.milliseconds(990))
        reader.ask("b", for: "junk")
        #expect(reader.seen["b"] == [.unknown])
        #expect(reader.book.counters.unknownFromCache == 1)
        reader.pass(.milliseconds(10))
        reader.ask("c", for: "junk")
        #expect(reader.redis.scripts == ["lookup", "instance"])
    }

    @Test func anOrganizationIsReadOnceAtATime() {
        let reader = Reader()
        for key in ["one", "two", "three"] { reader.ask(key, for: key) }
        for key in ["one", "two", "three"] { reader.answerLookup(.text("acme \(key)")) }
        #expect(reader.redis.scripts == ["load"])
        #expect(reader.redis.answer(.organization(), .record(of: "one")).hasSuffix("}:k:one"))
        let rest = reader.redis.answer(.organization(), .record(of: "two"), .record(of: "three"))
        #expect(rest == "load tg:1:{acme} tg:1:{acme}:k:two tg:1:{acme}:k:three")
        #expect(reader.seen["three"] == [.key("acme/three", isFresh: true)])
        #expect(reader.book.counters.loads == 2)
    }

    @Test func whatFillsAReplyLeavesTheOthersForTheNext() {
        let reader = Reader()
        for key in ["zero", "one", "two"] { reader.ask(key, for: key) }
        for key in ["zero", "one", "two"] { reader.answerLookup(.text("acme \(key)")) }
        reader.redis.answer(.organization(), .record(of: "zero"))
        reader.redis.answer(.organization(), .record(of: "one"))
        #expect(reader.seen["one"] == [.key("acme/one", isFresh: true)])
        #expect(reader.seen["two"] == nil)
        #expect(reader.redis.answer(.organization(), .record(of: "two")).hasSuffix("{acme} tg:1:{acme}:k:two"))
        #expect(reader.seen["two"] == [.key("acme/two", isFresh: true)])
    }

    private static let missing = RedisReply.array(Array(repeating: .null, count: KeyField.admitted.count))

    /// A pointer goes before its record, so it is looked up once more; one that is still there has lost its record.
    @Test(arguments: [
        (RedisReply.organization(), RedisReply.array(Array(repeating: .null, count: 10))),
        (
            RedisReply.array(Array(repeating: .null, count: OrganizationField.admitted.count)),
            RedisReply.record(of: "laptop")
        ),
    ])
    func aPointerWithoutARecordIsLostData(organization: RedisReply, record: RedisReply) {
        let reader = Reader()
        reader.ask("a", for: "laptop")
        for _ in 0..<2 {
            reader.answerLookup(.text("acme laptop"))
            reader.redis.answer(organization, record)
        }
        #expect(reader.seen["a"] == [.lost])
        #expect(reader.redis.questions.isEmpty)
        #expect(!reader.cache.isUnknown(CredentialHash("laptop"), at: reader.bench.now))
    }

    @Test func aPointerThatGoesWithItsRecordIsNoKey() {
        let reader = Reader()
        reader.ask("a", for: "laptop")
        reader.answerLookup(.text("acme laptop"))
        reader.redis.answer(.organization(), Self.missing)
        reader.answerLookup(.null)
        #expect(reader.seen["a"] == [.unknown])
    }

    @Test func anotherKeysRecordIsNone() {
        let reader = Reader()
        reader.ask("a", for: "laptop")
        reader.answerLookup(.text("acme laptop"))
        reader.redis.answer(.organization(), .record(of: "phone"))
        #expect(reader.seen["a"] == [.unknown])
    }

    @Test func aLookUpWithoutBothAnswersFindsNothing() {
        for isRefused in [true, false] {
            let reader = Reader()
            reader.ask("a", for: "junk")
            // It changes nothing, so it is asked once more: both, as the next connection's database says nothing of an answer
            // of the last one's.
            for _ in 0..<2 {
                #expect(reader.redis.scripts == ["lookup", "instance"])
                reader.redis.answer(isRefused ? .failure(.server("OOM")) : .success(.array([.integer(1), .null])))
                #expect(reader.seen["a"] == nil)
                reader.redis.answer(.failure(.connectionClosed("reset")))
            }
            let error = isRefused ? RedisError.server("OOM") : .connectionClosed("reset")
            #expect(reader.seen["a"] == [.absent(.failed(error))])
        }
    }

    @Test func aRememberedPointerIsLookedUpOnceMore() throws {
        let reader = Reader()
        reader.knows("laptop")
        let ask = reader.ask("stale")
        let pointer = try #require(RecordPointer(.text("acme laptop")))
        reader.book.load(ask, pointer, CredentialHash("laptop"))
        // Another key's record lies there now.
        reader.redis.answer(.organization(), .record(of: "phone"))
        #expect(reader.redis.scripts == ["lookup", "instance"])
        reader.answerLookup(.null)
        #expect(reader.seen["stale"] == [.unknown])
        #expect(reader.cache.last(CredentialHash("laptop")) == nil)
    }

    @Test func whatIsTooLongIsRefusedAlone() {
        let reader = Reader()
        for key in ["zero", "long", "short"] { reader.ask(key, for: key) }
        for key in ["zero", "long", "short"] { reader.answerLookup(.text("acme \(key)")) }
        reader.redis.answer(.organization(), .record(of: "zero"))
        reader.redis.answer(.organization(), .integer(1_000_000), .record(of: "short"))
        #expect(reader.seen["long"] == [.tooLong])
        #expect(reader.seen["short"] == [.key("acme/short", isFresh: true)])
        reader.ask("again", for: "short2")
        reader.answerLookup(.text("acme short2"))
        reader.redis.answer(.integer(1_000_000))
        #expect(reader.seen["again"] == [.tooLong])
    }

    @Test func whoJoinedLaterAsksAgain() {
        let reader = Reader()
        reader.ask("first", for: "laptop")
        reader.pass(.milliseconds(200))
        reader.ask("later", for: "laptop")
        #expect(reader.redis.scripts == ["lookup", "instance"])
        reader.pass(.milliseconds(50))
        #expect(reader.seen == ["first": [.absent(.late)]])
        #expect(reader.redis.scripts == ["lookup", "instance"])
        reader.redis.answer(.failure(.server("OOM")))
        reader.redis.answer(.text("id"))
        #expect(reader.seen["later"] == [.absent(.failed(.server("OOM")))])
    }

    @Test func anotherDatabaseMakesNoKeyUnknown() {
        let reader = Reader()
        reader.knows("laptop")
        reader.ask("a", for: "phone")
        reader.answerLookup(.null, of: "another id")
        #expect(reader.seen["a"] == [.absent(.useless("the database was emptied or swapped"))])
        #expect(reader.cache.last(CredentialHash("laptop")) != nil)
        #expect(!reader.cache.isUnknown(CredentialHash("phone"), at: reader.bench.now))
    }

    @Test func beyondItsBudgetALookUpWaitsAndIsRefused() {
        let reader = Reader()
        for junk in 0..<LookupBudget.blockPerSecond { reader.ask("junk\(junk)", for: "junk\(junk)") }
        #expect(reader.redis.questions.count == 2 * LookupBudget.blockPerSecond)
        reader.ask("waiting", for: "laptop")
        #expect(reader.redis.questions.count == 2 * LookupBudget.blockPerSecond)
        for _ in 0..<LookupBudget.blockPerSecond { reader.answerLookup(.null) }
        reader.pass(.milliseconds(10))
        // Some of the failures are forgotten.
        #expect(reader.redis.scripts == ["lookup", "instance"])
        for junk in 0..<(LookupBudget.mostWaiting + 100) { reader.ask("more\(junk)", for: "more\(junk)") }
        #expect(reader.book.counters.lookupsRefused >= 90)
        reader.pass(.milliseconds(250))
        #expect(reader.seen["more1000"] == [.beyondBudget])
    }

    /// Few keys of two organizations, asked for, answered and forgotten in any order: each ask hears once, and nothing is asked
    /// twice at a time.
    @Test func everyAskHearsOnceInAnyOrder() {
        var random = SplitMix(seed: 0x6A7E)
        for round in 0..<300 {
            let reader = Reader()
            var asked = 0
            for _ in 0..<60 {
                switch random.next() % 8 {
                case 0...2:
                    asked += 1
                    reader.ask("\(asked)", for: "key\(random.next() % 4)")
                case 3: reader.pass(.milliseconds(Int64(10 * (1 + random.next() % 30))))
                default:
                    guard let question = reader.redis.questions.first?.text else { continue }
                    answer(question, reader, &random)
                }
                let texts = reader.redis.questions.map(\.text).filter { !$0.hasPrefix("instance") }
                #expect(Set(texts.map { $0.prefix { $0 != "}" } }).count == texts.count, "round \(round)")
            }
            while !reader.redis.questions.isEmpty { reader.redis.answer(.failure(.shutdown)) }
            #expect(reader.seen.count == asked, "round \(round)")
            #expect(reader.seen.values.allSatisfy { $0.count == 1 }, "round \(round)")
        }
    }

    private func answer(_ question: String, _ reader: Reader, _ random: inout SplitMix) {
        let (script, roll) = (question.prefix { $0 != " " }, random.next() % 8)
        switch (script, roll) {
        case (_, 0): reader.redis.answer(.failure(.connectionClosed("reset")))
        case (_, 1): reader.redis.answer(.success(.null))
        case ("instance", _): reader.redis.answer(.text("id"))
        case ("lookup", 2): reader.redis.answer(.null)
        case ("lookup", _):
            let keys = (0..<4).map { "key\($0)" }
            let key = keys.first { question.hasSuffix(String(decoding: CredentialHash($0).hexadecimal, as: UTF8.self)) }
            let organization = key == "key0" ? "beta" : "acme"
            reader.redis.answer(.text("\(organization) \(key ?? "")"))
        case ("load", 2): reader.redis.answer(.integer(1_000_000))
        default:
            let keys = question.split(separator: " ").dropFirst(2).map { String($0.suffix(4)) }
            let records = keys.map { roll == 3 ? RedisReply.null : .record(of: $0) }
            // Now and then it is full after the first.
            let read = roll == 4 ? Array(records.prefix(1)) : records
            reader.redis.answer(.success(.array([.integer(1_000_000), .organization()] + read)))
        }
    }
}
