// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import NIOEmbedded
import Redis
import TestSupport
import Testing
@testable import Keyspace
@testable import Limits

@testable import Admission

@Suite struct RevocationsTests {
    private let hashes = (0..<4).map { CredentialHash("key\($0)") }
    private let revoked = Revocation(from: 0, seenAt: 1)

    private func noted(_ hashes: some Sequence<CredentialHash>, capacity: Int = 10) -> Revocations {
        var revocations = Revocations(capacity: capacity)
        for hash in hashes { #expect(revocations.note(revoked, of: hash) == true) }
        return revocations
    }

    @Test func whatWasNotedAfterSoManyIsTold() {
        var revocations = noted(hashes.prefix(3))
        #expect(revocations.note(revoked, of: hashes[1]) == false)
        #expect(revocations.count == 3)
        #expect(revocations.announced(after: 1) == Array(hashes[1...2]))
        #expect(revocations.announced(after: 3).isEmpty)
        #expect(hashes.map { revocations[$0] != nil } == [true, true, true, false])
    }

    /// However many there are, so many are kept: the oldest goes, and who is behind hears of those that are left.
    @Test func beyondItsCapacityTheOldestIsForgotten() {
        let revocations = noted(hashes, capacity: 2)
        #expect(revocations.count == 4)
        #expect(hashes.map { revocations[$0] != nil } == [false, false, true, true])
        #expect(revocations.announced(after: 0) == Array(hashes[2...3]))
        #expect(revocations.announced(after: 3) == [hashes[3]])
    }

    /// What is announced besides pushes out no revocation.
    @Test func whatIsToBeReadAnewIsNoRevocation() {
        var revocations = noted(hashes.prefix(2), capacity: 2)
        revocations.announce(hashes[2])
        #expect(hashes.map { revocations[$0] != nil } == [true, true, false, false])
        #expect(revocations.announced(after: 0) == Array(hashes[1...2]))
    }

    /// What the clock says can be made final by the record, and not the other way round.
    @Test func theSoonerEndCounts() {
        var revocations = Revocations(capacity: 10)
        let moments = [(5, true), (9, false), (5, false), (0, true), (5, false)]
        for (from, isNews) in moments {
            #expect(revocations.note(Revocation(from: from, seenAt: 1), of: hashes[0]) == isNews)
        }
        #expect(revocations[hashes[0]] == revoked)
    }
}

/// Loops of one process, each with a gate and a connection of its own.
@Suite struct SeenKeysTests {
    private final class Loop {
        let bench: Bench
        let gate: Gate
        let log = RecordedLog()

        init(_ seen: SeenKeys, _ instance: Instance, _ configuration: AdmissionConfiguration) {
            bench = Bench(instance: instance, seen: seen)
            bench.store.go(by: configuration)
            gate = Gate(configuration, on: bench.store, logger: log.logger, recordCapacity: 100)
        }

        var redis: StubLink { bench.redis }

        @discardableResult
        func ask(_ key: String, isThrottled: Bool = true) -> Reasons {
            let reasons = Reasons()
            let selection = PolicySelection(of: gate.configuration.policies, routes: [], method: "GET")
            let request = AdmissionRequest(
                kind: .protected, isThrottled: isThrottled, credential: .presented(Array(key.utf8)),
                address: "203.0.113.9", selection: selection)
            gate.admit(request, at: bench.now) { decision, _ in reasons.all.append(decision.reason) }
            return reasons
        }

        /// What is asked about a key that isn't known here is answered so, at this µs of Redis' clock.
        func read(
            _ key: String, at time: Int64 = 1_000_000, revision: String = "1", status: String = "active",
            active: String = "1"
        ) {
            redis.answer(at: time, .text("acme \(key.dropFirst(4))"))
            redis.answer(at: time, .text("id"))
            redis.answer(
                at: time, .organization(revision: revision, status: status), .record(of: key, active: active))
        }

        /// As ``read(_:at:revision:status:active:)``, and the one question is answered that charges nothing.
        func learn(_ key: String) {
            let reasons = ask(key)
            read(key)
            redis.answer(.integer(1))
            #expect(reasons.all == [nil])
        }

        /// Redis says nothing any more.
        func fall() {
            for _ in 0..<3 {
                let answers = bench.link.answers
                _ = bench.link.noteTimeout(since: answers, hadWholeTime: true)
            }
            #expect(bench.link.outage != nil)
        }
    }

    private final class Reasons {
        var all: [Denial.Reason?] = []
    }

    private static func loops(
        _ count: Int, _ policies: [Policy] = [], onFailure: OnFailure = .closed,
        _ adjust: (inout AdmissionConfiguration) -> Void = { _ in }
    ) -> [Loop] {
        var configuration = Bench.configuration(policies)
        configuration.onFailure = onFailure
        adjust(&configuration)
        let (seen, instance) = (SeenKeys(), Instance())
        return (0..<count).map { _ in Loop(seen, instance, configuration) }
    }

    // MARK: Revocations

    /// One loop was told; the others remember the record as it was.
    @Test func aRevocationThatOneLoopHasSeenHoldsOnAllInAnOutage() {
        let loops = Self.loops(2, onFailure: .open)
        for loop in loops { loop.learn("mcp_laptop") }
        let told = loops[0].ask("mcp_laptop")
        // Stale, and then revoked.
        loops[0].redis.answer(.integer(2))
        loops[0].redis.answer(.organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        #expect(told.all == [.revoked])
        for loop in loops {
            loop.fall()
            #expect(loop.ask("mcp_laptop").all == [.limiterUnavailable(detail: "Redis doesn't answer")])
        }
    }

    /// A database that has gone back in time has the revision again that the other loop goes by.
    @Test func whatAnotherLoopSawRevokedIsReadAnewAndRefused() throws {
        let loops = Self.loops(2)
        for loop in loops { loop.learn("mcp_laptop") }
        loops[0].ask("mcp_laptop")
        loops[0].redis.answer(.integer(2))
        loops[0].redis.answer(.organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        let asked = loops[1].ask("mcp_laptop")
        #expect(loops[1].redis.scripts == ["lookup", "instance"])
        loops[1].read("mcp_laptop", at: 2_000_000)
        #expect(asked.all == [.revoked])
        #expect(loops[1].gate.counters.keys.revocationsForgotten == 1)
        #expect(
            loops[1].log.lines == [
                "error revocation forgotten: the database has gone back in time; the key stays refused here, and is "
                    + "revoked anew key_id=acme/laptop"
            ])
        // It is revoked anew, where it is the database that knew of it.
        #expect(loops[1].redis.scripts == ["instance"])
        loops[1].redis.answer(at: 2_000_000, .text("id"))
        let question = try #require(loops[1].redis.questions.first?.text)
        let names = "tg:1:{acme} tg:1:{acme}:k:laptop tg:1:{acme}:active tg:1:{acme}:audit"
        #expect(question.hasPrefix("revoke-key \(names) "))
        #expect(question.hasSuffix(" laptop tollgate, which had seen it revoked acme/laptop "))
    }

    @Test func anotherDatabaseIsNotWrittenTo() {
        let loop = Self.loops(1)[0]
        loop.learn("mcp_laptop")
        loop.ask("mcp_laptop")
        loop.redis.answer(.integer(2))
        loop.redis.answer(.organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        let asked = loop.ask("mcp_laptop")
        loop.redis.answer(at: 2_000_000, .integer(2))
        loop.redis.answer(at: 2_000_000, .organization(revision: "3"), .record(of: "mcp_laptop"))
        #expect(asked.all == [.revoked])
        #expect(loop.redis.scripts == ["instance"])
        loop.redis.answer(.text("another"))
        #expect(loop.redis.questions.isEmpty)
    }

    private static func record(revokedAt moment: String) -> RedisReply {
        guard case .array(var fields) = RedisReply.record(of: "mcp_laptop"),
            let index = KeyField.admitted.firstIndex(of: .revokedAt)
        else { return .null }
        fields[index] = .text(moment)
        return .array(fields)
    }

    /// Two loops, one of which was told at second 6 that the grace was over at second 5.
    private static func afterTheGrace() -> [Loop] {
        let loops = loops(2)
        let asked = loops[0].ask("mcp_laptop")
        loops[0].redis.answer(at: 6_000_000, .text("acme laptop"))
        loops[0].redis.answer(at: 6_000_000, .text("id"))
        loops[0].redis.answer(at: 6_000_000, .organization(), record(revokedAt: "5"))
        #expect(loops[0].redis.scripts == ["admit"])
        loops[0].redis.answer(at: 6_000_000, .integer(1))
        #expect(asked.all == [.revoked])
        return loops
    }

    /// Gone back to where nobody had replaced it, or to where the grace was longer.
    @Test(arguments: [nil, "9"]) func aRevocationByTheClockIsOneToo(revokedAt: String?) {
        let loop = Self.afterTheGrace()[1]
        let asked = loop.ask("mcp_laptop")
        loop.redis.answer(at: 7_000_000, .text("acme laptop"))
        loop.redis.answer(at: 7_000_000, .text("id"))
        let record = revokedAt.map(Self.record) ?? .record(of: "mcp_laptop")
        loop.redis.answer(at: 7_000_000, .organization(), record)
        #expect(asked.all == [.revoked])
        #expect(loop.redis.scripts == ["instance"])
    }

    /// The clock was ahead for a while: the grace goes on, and nothing is written.
    @Test func aClockThatWasAheadRevokesNobody() {
        let loop = Self.afterTheGrace()[1]
        let asked = loop.ask("mcp_laptop")
        loop.redis.answer(at: 3_000_000, .text("acme laptop"))
        loop.redis.answer(at: 3_000_000, .text("id"))
        loop.redis.answer(at: 3_000_000, .organization(), Self.record(revokedAt: "5"))
        #expect(loop.redis.scripts == ["admit"])
        loop.redis.answer(at: 3_000_000, .integer(1))
        #expect(asked.all == [nil])
        #expect(loop.gate.counters.keys.revocationsForgotten == 0)
    }

    /// An answer from before the revocation that is heard after it: nothing went back, and nobody gets in.
    @Test func anOlderAnswerIsNoSignOfAnOlderDatabase() {
        let loops = Self.loops(2)
        let late = loops[1].ask("mcp_laptop")
        loops[1].redis.answer(at: 1_000_000, .text("acme laptop"))
        loops[1].redis.answer(at: 1_000_000, .text("id"))
        let told = loops[0].ask("mcp_laptop")
        loops[0].read("mcp_laptop", at: 2_000_000, active: "0")
        #expect(told.all == [.revoked])
        loops[1].redis.answer(at: 1_500_000, .organization(), .record(of: "mcp_laptop"))
        #expect(late.all == [.revoked])
        #expect(loops[1].gate.counters.keys.revocationsForgotten == 0)
        #expect(loops[1].log.lines.isEmpty)
        #expect(loops[1].redis.questions.isEmpty)
    }

    /// A replica that was promoted at another address has the same database; any other has other keys.
    @Test(arguments: ["id", "another"]) func revocationsGoAlongToTheSameDatabase(database: String) {
        let (seen, instance) = (SeenKeys(), Instance())
        let before = Loop(seen, instance, Bench.configuration([]))
        before.ask("mcp_laptop")
        before.read("mcp_laptop", active: "0")
        let after = Loop(SeenKeys(after: (seen, instance)), Instance(), Bench.configuration([]))
        let asked = after.ask("mcp_laptop")
        after.redis.answer(at: 3_000_000, .text("acme laptop"))
        after.redis.answer(at: 3_000_000, .text(database))
        after.redis.answer(at: 3_000_000, .organization(), .record(of: "mcp_laptop"))
        if database == "id" {
            #expect(asked.all == [.revoked])
        } else {
            after.redis.answer(at: 3_000_000, .integer(1))
            #expect(asked.all == [nil])
        }
    }

    /// Nobody can ask Redis about the key of a stream.
    @Test func aStreamOfARevokedKeyEndsInAnOutage() throws {
        let loops = Self.loops(2)
        for loop in loops { loop.learn("mcp_laptop") }
        var ended = 0
        let receipt = try #require(Receipt.stub(CredentialHash("mcp_laptop")))
        let watch = loops[1].gate.watch(receipt) { ended += 1 }
        #expect(watch != nil)
        loops[0].ask("mcp_laptop")
        loops[0].redis.answer(.integer(2))
        loops[0].redis.answer(.organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        loops[1].fall()
        for _ in 0..<1_100 {
            loops[1].bench.loop.advanceTime(by: .milliseconds(10))
            loops[1].gate.expire(now: loops[1].bench.now, having: .zero)
        }
        #expect(ended == 1)
    }

    // MARK: Going back

    /// The key is asked about at this second, and the record with so many changes of its organization read.
    private static func read(_ loop: Loop, generation: Int?, at second: Int64, revision: String = "1") {
        let time = second * 1_000_000
        loop.redis.answer(at: time, .text("acme laptop"))
        loop.redis.answer(at: time, .text("id"))
        loop.redis.answer(
            at: time, .organization(revision: revision, generation: generation), .record(of: "mcp_laptop"))
    }

    private static func lostChanges(_ loop: Loop) -> [String] {
        loop.log.lines.filter { $0.contains("went back") }
    }

    /// It is told once, by the loop that reads it first; from then on what is there counts.
    @Test func aDatabaseThatWentBackIsTold() {
        let loops = Self.loops(3)
        for (loop, (generation, second)) in zip(loops, [(9, 1), (6, 5), (6, 6)] as [(Int?, Int64)]) {
            loop.ask("mcp_laptop")
            Self.read(loop, generation: generation, at: second)
        }
        #expect(loops[1].redis.scripts == ["instance", "admit"])
        loops[1].redis.answer(at: 5_000_000, .text("id"))
        #expect(
            loops.map(Self.lostChanges) == [
                [],
                [
                    "error the database went back: changes of an organization that were seen here are lost "
                        + "changes=3 organization=acme"
                ], [],
            ])
        // The third had read it before that was known.
        #expect(loops[2].redis.scripts == ["instance", "admit"])
        loops[2].redis.answer(at: 6_000_000, .text("id"))
        #expect(loops.map(\.gate.counters.keys.wentBack) == [0, 1, 0])
    }

    /// Of an organization that nobody has changed since there is a count.
    @Test func withoutACountThereIsNoChange() {
        let loops = Self.loops(2)
        for (loop, second) in zip(loops, [1, 5] as [Int64]) {
            loop.ask("mcp_laptop")
            Self.read(loop, generation: nil, at: second)
            #expect(loop.redis.scripts == ["admit"])
        }
    }

    /// An answer from before the change that is heard after it.
    @Test func anOlderAnswerIsNoRetreat() {
        let loops = Self.loops(3)
        for (loop, (generation, second)) in zip(loops, [(9, 3), (8, 2), (9, 4)] as [(Int?, Int64)]) {
            loop.ask("mcp_laptop")
            Self.read(loop, generation: generation, at: second)
            #expect(loop.redis.scripts == ["admit"])
        }
    }

    /// It is emptied, perhaps filled by others, and then known as this one: nothing of it is compared with what was.
    @Test func anotherDatabaseHasNotGoneBack() {
        let loops = Self.loops(2)
        loops[0].ask("mcp_laptop")
        Self.read(loops[0], generation: 9, at: 1)
        loops[1].ask("mcp_laptop")
        Self.read(loops[1], generation: 6, at: 5)
        loops[1].redis.answer(at: 5_000_000, .text("another"))
        #expect(loops[1].gate.counters.keys.wentBack == 0)
        #expect(Self.lostChanges(loops[1]) == [])
    }

    /// What a backup brings back under the same id is older than what was seen before the database was emptied.
    @Test func aRestoredBackupHasGoneBack() {
        let loop = Self.loops(1)[0]
        loop.ask("mcp_laptop")
        Self.read(loop, generation: 9, at: 1)
        loop.bench.meet(.text("another"))
        loop.bench.meet(.text("id"))
        loop.redis.answer(.integer(1))
        loop.ask("mcp_phone")
        loop.redis.answer(at: 5_000_000, .text("acme phone"))
        loop.redis.answer(at: 5_000_000, .text("id"))
        loop.redis.answer(at: 5_000_000, .organization(generation: 6), .record(of: "mcp_phone"))
        #expect(loop.redis.scripts == ["instance", "admit"])
        loop.redis.answer(at: 5_000_000, .text("id"))
        #expect(loop.gate.counters.keys.wentBack == 1)
    }

    /// A replica that was promoted at another address has the same database.
    @Test(arguments: ["id", "another"]) func changesThatWereSeenGoAlongToTheSameDatabase(database: String) {
        let (seen, instance) = (SeenKeys(), Instance())
        let before = Loop(seen, instance, Bench.configuration([]))
        before.ask("mcp_laptop")
        Self.read(before, generation: 9, at: 1)
        let after = Loop(SeenKeys(after: (seen, instance)), Instance(), Bench.configuration([]))
        after.ask("mcp_laptop")
        after.redis.answer(at: 5_000_000, .text("acme laptop"))
        after.redis.answer(at: 5_000_000, .text(database))
        after.redis.answer(at: 5_000_000, .organization(generation: 8), .record(of: "mcp_laptop"))
        #expect(after.redis.scripts == (database == "id" ? ["instance", "admit"] : ["admit"]))
    }

    // MARK: Without Redis

    @Test(arguments: [OnFailure.open, .local]) func whatOneLoopKnowsAllServe(
        onFailure: OnFailure
    ) {
        let day = Limit(count: 10, periodMicroseconds: 86_400_000_000)
        let loops = Self.loops(3, [Policy(name: "org", per: .org, limit: day)], onFailure: onFailure)
        loops[0].ask("mcp_laptop")
        loops[0].read("mcp_laptop")
        loops[0].redis.answer(.integer(1), .integer(0))
        for loop in loops[1...] {
            // Redis was there, and nobody came.
            loop.ask("mcp_nobody")
            loop.redis.answer(.null)
            loop.redis.answer(.text("id"))
        }
        for loop in loops {
            loop.fall()
            #expect(loop.ask("mcp_laptop").all == [nil])
            #expect(loop.ask("mcp_phone").all == [.limiterUnavailable(detail: "Redis doesn't answer")])
        }
    }

    /// Where nobody is served without Redis, no records are kept for it.
    @Test func closedServesNobodyByWhatAnotherLoopKnows() {
        let loops = Self.loops(2)
        loops[0].learn("mcp_laptop")
        loops[1].ask("mcp_nobody")
        loops[1].redis.answer(.null)
        loops[1].redis.answer(.text("id"))
        for loop in loops { loop.fall() }
        #expect(loops[0].ask("mcp_laptop", isThrottled: false).all == [nil])
        let reason = Denial.Reason.limiterUnavailable(detail: "Redis doesn't answer")
        #expect(loops[1].ask("mcp_laptop", isThrottled: false).all == [reason])
        #expect(loops[0].ask("mcp_laptop").all == [reason])
    }

    /// A suspension is the organization's, whichever of its keys it was seen by.
    @Test(arguments: [true, false]) func aSuspensionHoldsForAllKeysOfTheOrganization(isSameLoop: Bool) {
        let loops = Self.loops(2)
        for loop in loops { for key in ["mcp_laptop", "mcp_phone"] { loop.learn(key) } }
        let told = loops[0].ask("mcp_laptop")
        loops[0].redis.answer(at: 2_000_000, .integer(2))
        loops[0].redis.answer(
            at: 2_000_000, .organization(revision: "2", status: "suspended"), .record(of: "mcp_laptop"))
        #expect(told.all == [.suspended])
        let loop = loops[isSameLoop ? 0 : 1]
        loop.fall()
        let reason = Denial.Reason.limiterUnavailable(detail: "Redis doesn't answer")
        #expect(loop.ask("mcp_phone", isThrottled: false).all == [reason])
    }

    /// In an outage the organization is known as of later than the key: that makes the key no newer, so it is read anew when
    /// Redis is back.
    @Test(arguments: [OnFailure.open, .closed]) func whatWasPutTogetherInAnOutageIsReadAnew(
        onFailure: OnFailure
    ) throws {
        let loop = Self.loops(1, onFailure: onFailure)[0]
        for key in ["mcp_laptop", "mcp_phone"] { loop.learn(key) }
        // The laptop's key was revoked meanwhile, and nobody has asked with it.
        loop.ask("mcp_phone")
        loop.redis.answer(at: 2_000_000, .integer(2))
        loop.redis.answer(at: 2_000_000, .organization(revision: "2"), .record(of: "mcp_phone"))
        loop.redis.answer(at: 2_000_000, .integer(1))
        loop.fall()
        #expect(loop.ask("mcp_laptop", isThrottled: false).all == [nil])
        // Something is heard, and that is the end of it.
        for _ in 0..<2 {
            loop.bench.pass(.milliseconds(150))
            loop.redis.answer(at: 3_000_000, .text("id"))
        }
        #expect(loop.bench.link.outage == nil)
        let asked = loop.ask("mcp_laptop")
        let question = try #require(loop.redis.questions.first?.text)
        #expect(question.hasPrefix("admit tg:1:{acme} 1"), "\(question)")
        loop.redis.answer(at: 3_000_000, .integer(2))
        loop.redis.answer(
            at: 3_000_000, .organization(revision: "2"), .record(of: "mcp_laptop", active: "0"))
        #expect(asked.all == [.revoked])
    }

    /// Whoever was the first to ask of an emptied database is known still.
    @Test func whoNoticesAnEmptiedDatabaseIsServed() {
        let loop = Self.loops(1, onFailure: .open)[0]
        loop.learn("mcp_laptop")
        let asked = loop.ask("mcp_laptop")
        // No organization, no record, and no id.
        loop.redis.answer(at: 2_000_000, .integer(2))
        loop.redis.answer(
            at: 2_000_000, .array(Array(repeating: .null, count: OrganizationField.admitted.count)), .array([]))
        loop.redis.answer(at: 2_000_000, .null)
        loop.redis.answer(at: 2_000_000, .null)
        #expect(loop.bench.link.outage == "the database was emptied or swapped")
        #expect(asked.all == [nil])
        #expect(loop.ask("mcp_laptop").all == [nil])
    }

    /// A key that was deleted while Redis could be asked isn't one in the outage after that.
    @Test func aKeyThatIsNoneAnyMoreIsForgotten() {
        let loops = Self.loops(2, onFailure: .open)
        loops[0].learn("mcp_laptop")
        let asked = loops[1].ask("mcp_laptop")
        loops[1].redis.answer(.null)
        loops[1].redis.answer(.text("id"))
        #expect(asked.all == [.unknown])
        for loop in loops {
            loop.fall()
            #expect(loop.ask("mcp_laptop").all == [.limiterUnavailable(detail: "Redis doesn't answer")])
        }
    }

    @Test func afterSoLongWithoutRedisNobodyIsKnown() {
        let loop = Self.loops(1, onFailure: .open) { $0.staleFor = .seconds(60) }[0]
        loop.learn("mcp_laptop")
        loop.fall()
        loop.bench.loop.advanceTime(by: .seconds(60))
        #expect(loop.ask("mcp_laptop").all == [nil])
        loop.bench.loop.advanceTime(by: .milliseconds(1))
        #expect(loop.ask("mcp_laptop").all == [.limiterUnavailable(detail: "Redis doesn't answer")])
    }

    /// Loops read by connections of their own: what is heard last may be older.
    @Test func theNewerRecordCountsWhicheverIsHeardLast() throws {
        let entry = try KeyEntry.stub()
        var suspended = entry.organization.record
        suspended.isSuspended = true
        let (seen, hash) = (SeenKeys(), CredentialHash("laptop"))
        seen.note(suspended, entry.record, of: hash, at: entry.pointer, readAt: 2)
        seen.note(entry.organization.record, entry.record, of: hash, at: entry.pointer, readAt: 1)
        #expect(seen.last(organization: "acme")?.isSuspended == true)
        seen.note(entry.organization.record, entry.record, of: hash, at: entry.pointer, readAt: 2)
        #expect(seen.last(hash)?.organization.isSuspended == false)
    }

    /// A clock that goes back makes nothing read later older, and one that was out of its mind nothing newer for ever.
    @Test(arguments: [3_600_000_000, 1 << 53]) func aClockThatGoesBackHidesNothing(ahead: Int) throws {
        let entry = try KeyEntry.stub()
        var suspended = entry.organization.record
        suspended.isSuspended = true
        let (seen, hash) = (SeenKeys(), CredentialHash("laptop"))
        seen.note(entry.organization.record, entry.record, of: hash, at: entry.pointer, readAt: ahead)
        seen.note(suspended, entry.record, of: hash, at: entry.pointer, readAt: 1)
        #expect(seen.last(organization: "acme")?.isSuspended == true)
    }

    /// One who asks for very many keys pushes out the ones longest unused, and nothing grows.
    @Test func atMostSoManyRecordsAreKept() throws {
        let entry = try KeyEntry.stub()
        let seen = SeenKeys(capacity: 2)
        let hashes = (0..<3).map { CredentialHash("key\($0)") }
        for hash in hashes {
            seen.note(entry.organization.record, entry.record, of: hash, at: entry.pointer, readAt: 1)
        }
        #expect(hashes.map { seen.last($0) != nil } == [false, true, true])
    }
}
