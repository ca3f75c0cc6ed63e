// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Endpoints
import Octets
import Redis
import TestSupport
import Testing
@testable import Directory
@testable import Keyspace
@testable import Limits

/// What a process leaves that ends between two steps of making a key: docs/decisions/0015-one-hash-slot-a-script.md.
@Suite struct UnfinishedKeyTests {
    private static let names = Names(namespace: "tg")

    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    private func opened(_ body: (Tollbooth, Directory) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            try await body(booth, directory)
        }
    }

    private func hash(_ key: String) -> String { CredentialHash(of: Array("mcp_\(key)".utf8)).text }

    /// The first step of issuing `mcp_<key>`.
    private func begin(_ key: String, _ booth: Tollbooth) async throws -> KeyID {
        let id = KeyID(organization: acme, local: KeyID.randomLocal())
        let fields = KeyOrder(organization: acme, name: key).fields(id: id, hash: hash(key))
        let reply = try await booth.client.evaluate(
            .issueKey,
            keys: [
                "tg:1:{acme}", Self.names.record(id), "tg:1:{acme}:keys", "tg:1:{acme}:active",
                "tg:1:{acme}:unfinished",
            ],
            arguments: [Revision.random(), id.local, "5"] + fields.flatMap { [$0.field.rawValue, $0.value] })
        #expect(reply.array?.first?.integer != nil)
        return id
    }

    /// The first step of replacing a key by `mcp_<key>`.
    private func begin(_ key: String, insteadOf old: KeyID, _ booth: Tollbooth) async throws -> KeyID {
        let id = KeyID(organization: acme, local: KeyID.randomLocal())
        let reply = try await booth.client.evaluate(
            .rotateKey,
            keys: [
                "tg:1:{acme}", Self.names.record(old), Self.names.record(id), "tg:1:{acme}:keys",
                "tg:1:{acme}:unfinished",
            ], arguments: [id.local, hash(key), old.local, "", ""])
        #expect(reply.array?.count == 2)
        return id
    }

    private func place(_ key: String, _ id: KeyID, _ booth: Tollbooth) async throws {
        let reply = try await booth.client.evaluate(
            .placePointer, keys: [Self.names.credential(hash(key))], arguments: [RecordPointer(id).text])
        #expect(reply == .array([.integer(1)]))
    }

    /// As if it had been begun so long ago.
    private func age(_ id: KeyID, by seconds: Int, _ booth: Tollbooth) async throws {
        let now = try #require(try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) })
        _ = try await booth.client.send("ZADD", "tg:1:{acme}:unfinished", "XX", "\(now - seconds)", id.local)
    }

    private func sweep(_ booth: Tollbooth) async throws {
        guard case .bytes(let database) = try await booth.client.send("GET", "tg:1:{:m}:meta") else {
            Issue.record("no id")
            return
        }
        let retention = Retention(
            booth.client, namespace: "tg", retention: .seconds(86_400), who: "tollgate@test",
            figureLifetime: .seconds(9_000), pause: {})
        #expect(try await retention.sweep(database: database, rest: .milliseconds(1)) == 0)
        _ = try await booth.client.send("DEL", "tg:1:{:m}:retention", "tg:1:{:m}:expiring")
    }

    private func names(_ booth: Tollbooth) async throws -> Set<String> {
        Set((try await booth.client.send("KEYS", "*").array ?? []).compactMap(\.text))
    }

    // MARK: Issuing

    @Test func aFinishedKeyIsUnfinishedNoMore() async throws {
        try await opened { booth, directory in
            let first = try await directory.issueKey(KeyOrder(organization: acme, name: "a")).id
            _ = try await directory.rotateKey(first, grace: 60)
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:unfinished") == .integer(0))
            #expect(
                try await directory.audit(of: acme, most: 9).map(\.what) == ["org.create", "key.issue", "key.rotate"])
        }
    }

    @Test func aRecordWithoutAPointerCountsUntilItIsTakenAway() async throws {
        try await opened { booth, directory in
            let before = try await names(booth)
            var ids: [KeyID] = []
            for number in 0..<5 { ids.append(try await begin("k\(number)", booth)) }
            let gate = try await booth.gate()
            #expect(await gate.admit(key: "k0").reason == .unknown)
            let order = KeyOrder(organization: acme, name: "sixth")
            await #expect(throws: DirectoryError.tooManyActiveKeys("acme", maximum: 5)) {
                _ = try await directory.issueKey(order)
            }
            for id in ids { try await age(id, by: 3_500, booth) }
            try await sweep(booth)
            #expect(try await directory.keys(of: acme).count == 5)
            for id in ids { try await age(id, by: 3_601, booth) }
            try await sweep(booth)
            #expect(try await names(booth).filter { !$0.contains(":b:") } == before)
            _ = try await directory.issueKey(order)
        }
    }

    /// It was shown to nobody.
    @Test func aPointerOfAnUnfinishedKeyGoesFirst() async throws {
        try await opened { booth, directory in
            let before = try await names(booth)
            let id = try await begin("laptop", booth)
            try await place("laptop", id, booth)
            try await age(id, by: 3_601, booth)
            // Whoever was slow may not finish it any more.
            let late = try await booth.client.evaluate(
                .finishIssue, keys: ["tg:1:{acme}", "tg:1:{acme}:unfinished", "tg:1:{acme}:audit"],
                arguments: [id.local, "me", id.text, "laptop"])
            #expect(late == .array([.bytes(Array("late".utf8))]))
            try await sweep(booth)
            #expect(try await names(booth) == before)
        }
    }

    @Test func anOrganizationThatIsBeingDeletedGetsNoKey() async throws {
        try await opened { booth, directory in
            let id = try await begin("laptop", booth)
            _ = try await booth.client.send("HSET", "tg:1:{acme}", "status", "deleted")
            await #expect(throws: DirectoryError.organizationMissing("acme")) {
                try await directory.complete(id, hash("laptop")) { () throws(DirectoryError) in
                    let reply = try await booth.client.answer(
                        .finishIssue, keys: ["tg:1:{acme}", "tg:1:{acme}:unfinished", "tg:1:{acme}:audit"],
                        arguments: [id.local, "me", id.text, "laptop"])
                    guard reply.first?.text != "missing" else { throw .organizationMissing("acme") }
                }
            }
            // Taken back at once, pointer and record.
            #expect(try await names(booth) == ["tg:1:{:m}:meta", "tg:1:{acme}", "tg:1:{acme}:audit"])
        }
    }

    /// A user of an ACL who may not write credentials, or may not note what was done.
    @Test(arguments: [["~tg:1:{*", "+@all"], ["~*", "+@all", "-xadd"]])
    func whatRedisRefusesIsTakenBack(rules: [String]) async throws {
        try await RedisServer.run(.init(users: ["half on >secret " + rules.joined(separator: " ")])) { server in
            let all = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { all.close() }
            _ = try await Directory(all).createOrganization(acme)
            let old = try await Directory(all).issueKey(KeyOrder(organization: acme, name: "old")).id
            let before = try await server.cli("KEYS", "*").split(separator: "\n").sorted()
            let record = try await server.cli("HGETALL", "tg:1:{acme}:k:\(old.local)")
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), username: "half", password: "secret")
            let half = try await RedisClient.connect(to: endpoint)
            defer { half.close() }
            await #expect(throws: DirectoryError.self) {
                _ = try await Directory(half).issueKey(KeyOrder(organization: acme, name: "new"))
            }
            await #expect(throws: DirectoryError.self) { _ = try await Directory(half).rotateKey(old, grace: 0) }
            #expect(try await server.cli("KEYS", "*").split(separator: "\n").sorted() == before)
            #expect(try await server.cli("HGETALL", "tg:1:{acme}:k:\(old.local)") == record)
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "1")
        }
    }

    // MARK: Replacing

    @Test func anInterruptedReplacementLeavesTheOldKeyAsItWas() async throws {
        try await opened { booth, directory in
            let old = try await directory.issueKey(KeyOrder(organization: acme, name: "old"))
            let first = try await begin("first", insteadOf: old.id, booth)
            try await place("first", first, booth)
            let key = try await directory.key(old.id)
            #expect(key.status == .active && key.endsAt == nil)
            #expect(try await directory.organization(acme).activeKeys == 1)
            // Somebody may be at it.
            await #expect(throws: DirectoryError.keyRotating(old.id.text, to: first.text)) {
                _ = try await directory.rotateKey(old.id, grace: 60)
            }
            try await age(first, by: 61, booth)
            let second = try await directory.rotateKey(old.id, grace: 60).key.id
            // Whoever was slow isn't the one any more.
            let late = try await booth.client.evaluate(
                .finishRotation,
                keys: [
                    "tg:1:{acme}", Self.names.record(old.id), Self.names.record(first), "tg:1:{acme}:active",
                    "tg:1:{acme}:unfinished", "tg:1:{acme}:audit",
                ], arguments: [Revision.random(), "me", old.id.text, first.text, old.id.local, first.local, "0"])
            #expect(late == .array([.bytes(Array("rotating".utf8)), .bytes(Array(second.local.utf8))]))
            try await age(first, by: 3_601, booth)
            try await sweep(booth)
            #expect(try await Set(directory.keys(of: acme).map(\.id)) == [old.id, second])
            #expect(try await directory.key(old.id).rotatedTo == second)
            #expect(try await booth.client.send("EXISTS", Self.names.credential(hash("first"))) == .integer(0))
        }
    }

    @Test func itsEndForgetsWhatWasToReplaceIt() async throws {
        try await opened { booth, directory in
            let old = try await directory.issueKey(KeyOrder(organization: acme, name: "old")).id
            let new = try await begin("new", insteadOf: old, booth)
            // Numbers of one are numbers of both, whichever of them stays.
            let edits = [LimitEdit(policy: "search", allowance: .rate(Limit(count: 6, periodMicroseconds: 1_000_000)))]
            #expect(try await directory.setLimits(edits, of: old).other == new)
            try await age(new, by: 3_601, booth)
            try await sweep(booth)
            #expect(try await directory.key(old).rotatedTo == nil)
            #expect(try await directory.keys(of: acme).map(\.id) == [old])
        }
    }
}
