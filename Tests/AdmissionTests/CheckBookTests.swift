// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Redis
import Testing
@testable import Keyspace
@testable import Limits

@testable import Admission

/// What becomes of keys that prove themselves, and of those that don't, without Redis.
@Suite struct CheckBookTests {
    private final class Reader {
        let bench = Bench()
        let checks: CheckBook
        let book: KeyBook
        private(set) var findings: [String: KeyBook.Finding] = [:]
        private var asks: [ObjectIdentifier: String] = [:]

        init(_ mode: KeyCheckMode = .prefer, secrets: CheckSecrets? = nil) {
            let store = bench.store
            let complaints = Complaints(about: [], to: Bench.logger)
            let plans = PlanBook(on: store, complaints: complaints)
            checks = CheckBook(on: store, by: KeyCheck(mode: mode, secrets: secrets))
            let cache = KeyCache(
                capacity: 5_000, named: store.names, [], saying: MetaChoice([], complaints), plans: plans,
                seen: store.seen, complaints: complaints)
            book = KeyBook(
                on: store, waits: Waits(on: bench.loop), cache: cache, plans: plans, checks: checks,
                complaints: complaints,
                addressPrefix: AddressPrefix(), blocks: 100)
            book.onFinding = { [unowned self] ask, finding in self.note(ask, finding) }
        }

        func ask(for key: String, from address: String = "203.0.113.9") {
            let request = AdmissionRequest(
                kind: .protected, credential: .presented(Array(key.utf8)), address: address,
                selection: PolicySelection())
            let ask = Ask(request, at: bench.now, within: bench.link.timeout) { _, _ in }
            asks[ObjectIdentifier(ask)] = key
            if let finding = book.find(CredentialHash(key), for: ask) { note(ask, finding) }
        }

        private func note(_ ask: Ask, _ finding: KeyBook.Finding) {
            findings[asks[ObjectIdentifier(ask)] ?? ""] = finding
            _ = ask.end(.deny(Denial(reason: .unknown)))
        }

        /// Redis is asked for the secrets, and answers.
        func hear(_ stored: [(CheckSecret, createdAt: Int)], at now: Int64 = 1_000_000_000_000) {
            checks.poll(bench.now)
            #expect(bench.redis.scripts == ["check-secrets"])
            let lines = stored.map { secret, createdAt in "\(secret.id) \(createdAt) \(secret.secretText)\n" }
            #expect(bench.redis.answer(at: now, .text(lines.joined())) == "check-secrets tg:1:{:m}:checks")
        }

        /// There is no such key.
        func answerLookup() {
            #expect(bench.redis.scripts == ["lookup", "instance"])
            bench.redis.answer(.null)
            bench.redis.answer(.text("one"))
        }

        func isUnproven(_ key: String) -> Bool {
            if case .unproven? = findings[key] { true } else { false }
        }
    }

    private let secret = CheckSecret.random()

    private func fillBudget(_ reader: Reader) {
        for _ in 0..<(LookupBudget.blockPerSecond + 10) {
            reader.ask(for: KeyForm.random(prefix: "mcp_", under: nil))
        }
    }

    @Test func aProvenKeyIsLookedUpWhateverJunkThereIs() {
        let reader = Reader()
        reader.hear([(secret, createdAt: 1)])
        fillBudget(reader)
        let before = reader.book.counters.lookups
        #expect(before < LookupBudget.blockPerSecond + 10)
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
        #expect(reader.book.counters.lookups == before + 1 && reader.book.counters.lookupsProven == 1)
        // Of the same block and form, and with no right check: it waits.
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: .random()))
        #expect(reader.book.counters.lookups == before + 1 && reader.findings.isEmpty)
    }

    /// Who has a secret makes as many as he likes.
    @Test func provenJunkIsBoundedToo() {
        let reader = Reader()
        reader.hear([(secret, createdAt: 1)])
        for _ in 0..<LookupBudget.perSecond {
            reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
            reader.answerLookup()
        }
        #expect(reader.book.counters.lookupsProven == LookupBudget.perSecond)
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
        #expect(reader.book.counters.lookupsProven == LookupBudget.perSecond)
        #expect(reader.book.counters.lookups == LookupBudget.perSecond + 1)
    }

    @Test(arguments: [KeyCheckMode.off, .prefer])
    func withoutSecretsEachKeyIsLookedUpAsFarAsThereIsRoom(mode: KeyCheckMode) {
        let reader = Reader(mode)
        reader.checks.poll(reader.bench.now)
        #expect(reader.bench.redis.scripts == (mode == .off ? [] : ["check-secrets"]))
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
        #expect(reader.bench.redis.scripts.suffix(2) == ["lookup", "instance"])
        #expect(reader.book.counters.lookupsProven == 0)
    }

    @Test func requiringRefusesWithoutALookUp() {
        let reader = Reader(.require)
        reader.hear([(secret, createdAt: 1)])
        let junk = KeyForm.random(prefix: "mcp_", under: nil)
        reader.ask(for: junk)
        #expect(reader.isUnproven(junk) && reader.bench.redis.scripts.isEmpty)
        // Other forms have no check, and are looked up.
        reader.ask(for: "sk_imported")
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
        #expect(reader.book.counters.lookups == 2)
    }

    /// Nobody knows whether a key was issued meanwhile, under another secret.
    @Test func requiringRefusesNothingByOldSecretsOrNone() {
        let reader = Reader(.require)
        let keys = (0..<3).map { _ in KeyForm.random(prefix: "mcp_", under: nil) }
        reader.ask(for: keys[0])
        reader.answerLookup()
        #expect(reader.book.counters.lookups == 1 && !reader.isUnproven(keys[0]))
        reader.hear([])
        reader.ask(for: keys[1])
        reader.answerLookup()
        #expect(reader.book.counters.lookups == 2 && !reader.isUnproven(keys[1]))
        reader.bench.loop.advanceTime(by: CheckBook.pollInterval)
        reader.hear([(secret, createdAt: 1)])
        reader.ask(for: keys[2])
        #expect(reader.book.counters.lookups == 2 && reader.isUnproven(keys[2]))
        reader.bench.loop.advanceTime(by: CheckBook.trust + .milliseconds(1))
        #expect(!reader.checks.refusesUnproven(at: reader.bench.now))
    }

    @Test func secretsOfTheConfigurationNeedNoRedis() {
        let reader = Reader(.require, secrets: CheckSecrets([secret]))
        reader.checks.poll(reader.bench.now)
        #expect(reader.bench.redis.scripts.isEmpty)
        let junk = KeyForm.random(prefix: "mcp_", under: nil)
        reader.ask(for: junk)
        #expect(reader.isUnproven(junk))
        reader.ask(for: KeyForm.random(prefix: "mcp_", under: secret))
        #expect(reader.book.counters.lookupsProven == 1)
    }

    /// The newest that every sidecar has by now is issued with; one that can't be read is none.
    @Test func ordersSecretsByWhoHasThem() throws {
        let (old, settled, fresh) = (CheckSecret.random(), CheckSecret.random(), CheckSecret.random())
        let lines = [(old, 10), (fresh, 95), (settled, 90)].map { "\($0.id) \($1) \($0.secretText)" }
        func secrets(_ lines: [String]) -> [CheckSecret]? {
            StoredCheckSecret.all(in: [.integer(100_000_000), .text(lines.joined(separator: "\n"))])?.map(\.secret)
        }
        #expect(secrets(lines) == [settled, old, fresh])
        #expect(secrets(["", lines[0], "", lines[2], ""]) == [settled, old])
        for line in ["x", "abcdefg2 1 AAAA", "abcdefg2 \(old.secretText)", "abcdefg2 1 \(old.secretText) more"] {
            #expect(secrets(lines + [line]) == nil)
        }
        #expect(secrets([]) == [])
        for wrong: [RedisReply] in [[], [.integer(1)], [.integer(1), .null], [.text("x"), .text("")]] {
            #expect(StoredCheckSecret.all(in: wrong) == nil)
        }
    }
}
