// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

@Suite struct RetentionTests {
    private static let retention = Duration.seconds(1_000)

    private func seconds(_ booth: Tollbooth) async throws -> Int {
        try #require(try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) })
    }

    private func retention(
        _ booth: Tollbooth, pause: @escaping @Sendable () async throws -> Void = {}
    ) -> Retention {
        Retention(
            booth.client, namespace: "tg", retention: Self.retention, who: "tollgate@test",
            figureLifetime: .seconds(9_000), pause: pause)
    }

    /// The database as the CLI would have left it, with the id that sidecars know it by.
    private func open(_ body: (Tollbooth, Directory, _ database: [UInt8]) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            let acme = try #require(OrganizationID("acme"))
            _ = try await directory.createOrganization(acme)
            guard case .bytes(let database) = try await booth.client.send("GET", "tg:1:{:m}:meta") else {
                Issue.record("no id")
                return
            }
            try await body(booth, directory, database)
        }
    }

    private func issue(_ directory: Directory, _ organization: String = "acme") async throws -> IssuedKey {
        let organization = try #require(OrganizationID(organization))
        return try await directory.issueKey(
            KeyOrder(organization: organization, name: "laptop", maximumActive: 10_000))
    }

    /// As if it had been made and revoked so long ago.
    private func age(_ key: IssuedKey, revokedFor seconds: Int?, _ booth: Tollbooth, active: String = "0") async throws
    {
        let now = try await self.seconds(booth)
        let (organization, local) = (key.id.organization.text, key.id.local)
        _ = try await booth.client.send("ZADD", "tg:1:{\(organization)}:keys", "\(now - 5_000)", local)
        guard let seconds else { return }
        _ = try await booth.client.send(
            "HSET", "tg:1:{\(organization)}:k:\(local)", "is_active", active, "revoked_at", "\(now - seconds)")
    }

    private func names(_ booth: Tollbooth) async throws -> Set<String> {
        Set((try await booth.client.send("KEYS", "*").array ?? []).compactMap(\.text))
    }

    private func pointer(_ key: IssuedKey) -> String {
        "tg:1:cred:" + String(decoding: CredentialHash(of: Array(key.key.utf8)).hexadecimal, as: UTF8.self)
    }

    @Test func whatWasRevokedLongAgoGoesAndNothingElse() async throws {
        try await open { booth, directory, database in
            let old = try await issue(directory)
            let rotated = try await issue(directory)
            let recent = try await issue(directory)
            let active = try await issue(directory)
            let inGrace = try await issue(directory)
            for key in [old, recent] { #expect(try await directory.revokeKey(key.id)) }
            try await age(old, revokedFor: 1_001, booth)
            // Ended by its grace period, so its record still says active.
            try await age(rotated, revokedFor: 1_001, booth, active: "1")
            try await age(recent, revokedFor: 900, booth)
            try await age(active, revokedFor: nil, booth)
            try await age(inGrace, revokedFor: -500, booth, active: "1")
            let before = try await names(booth)
            let revision = try await booth.client.send("HGET", "tg:1:{acme}", "rev")

            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == 2)
            let gone: Set = [
                "tg:1:{acme}:k:\(old.id.local)", "tg:1:{acme}:k:\(rotated.id.local)", pointer(old), pointer(rotated),
            ]
            let after = try await names(booth)
            #expect(before.subtracting(after) == gone)
            #expect(
                after.subtracting(before).subtracting(["tg:1:{acme}:audit"])
                    == ["tg:1:{:m}:retention", "tg:1:{:m}:expiring", "tg:1:{acme}:ended"])
            let left = Set([recent, active, inGrace].map(\.id.local))
            let indexed = try await booth.client.send("ZRANGE", "tg:1:{acme}:keys", "0", "-1").array ?? []
            #expect(Set(indexed.compactMap(\.text)) == left)
            let activeLocals = try await booth.client.send("ZRANGE", "tg:1:{acme}:active", "0", "-1").array ?? []
            #expect(Set(activeLocals.compactMap(\.text)) == [active.id.local, inGrace.id.local])
            #expect(try await directory.key(presenting: Array(active.key.utf8))?.id == active.id)
            #expect(try await directory.key(presenting: Array(old.key.utf8)) == nil)
            // A change of keys like any other: sidecars read anew, and it is on record.
            #expect(try await booth.client.send("HGET", "tg:1:{acme}", "rev") != revision)
            let trail =
                try await booth.client.send("XREVRANGE", "tg:1:{acme}:audit", "+", "-", "COUNT", "2").array ?? []
            let entries = trail.compactMap { $0.array?.last?.array?.compactMap(\.text) }
            #expect(entries.allSatisfy { $0.prefix(4) == ["who", "tollgate@test", "what", "key.purge"] })
            #expect(Set(entries.map { $0[5] }) == [old.id.text, rotated.id.text])
        }
    }

    @Test func aPointerThatNamesAnotherRecordStays() async throws {
        try await open { booth, directory, database in
            let old = try await issue(directory)
            try await age(old, revokedFor: 2_000, booth)
            _ = try await booth.client.send("SET", pointer(old), "acme another")
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == 1)
            #expect(try await booth.client.send("GET", pointer(old)) == .bytes(Array("acme another".utf8)))
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:k:\(old.id.local)") == .integer(0))
        }
    }

    @Test func oneAtATimeAndNotOneAfterTheOther() async throws {
        try await open { booth, directory, database in
            let old = try await issue(directory)
            try await age(old, revokedFor: 2_000, booth)
            // Another is at it, or has just been.
            _ = try await booth.client.send("SET", "tg:1:{:m}:retention", "another", "PX", "60000")
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == nil)
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:k:\(old.id.local)") == .integer(1))
            _ = try await booth.client.send("DEL", "tg:1:{:m}:retention")
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(500)) == 1)
            let left = try #require(try await booth.client.send("PTTL", "tg:1:{:m}:retention").integer)
            #expect((400_000...500_000).contains(left))
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == nil)
        }
    }

    @Test func anotherDatabaseIsNotTouched() async throws {
        try await open { booth, directory, _ in
            let old = try await issue(directory)
            try await age(old, revokedFor: 2_000, booth)
            let before = try await names(booth)
            #expect(try await retention(booth).sweep(database: Array("other".utf8), rest: .seconds(60)) == nil)
            #expect(try await names(booth) == before)
        }
    }

    @Test func whoLosesTheLockStops() async throws {
        try await open { booth, directory, database in
            for _ in 0..<3 { try await age(try await issue(directory), revokedFor: 2_000, booth) }
            for number in 0..<3 {
                _ = try await directory.createOrganization(try #require(OrganizationID("other\(number)")))
                try await age(try await issue(directory, "other\(number)"), revokedFor: 2_000, booth)
            }
            let client = booth.client
            let thief = retention(booth) {
                // As if it had stood still for a minute, and another had begun.
                _ = try await client.send("SET", "tg:1:{:m}:retention", "another", "PX", "60000")
            }
            let removed = try #require(try await thief.sweep(database: database, rest: .seconds(60)))
            // One page of one organization, whichever came first.
            #expect([1, 3].contains(removed))
            #expect(try await client.send("GET", "tg:1:{:m}:retention") == .bytes(Array("another".utf8)))
        }
    }

    @Test func manyGoByPages() async throws {
        try await open { booth, directory, database in
            var kept: Set<String> = []
            for number in 0..<250 {
                let key = try await issue(directory)
                try await age(key, revokedFor: number % 5 == 0 ? 10 : 2_000, booth)
                if number % 5 == 0 { kept.insert(key.id.local) }
            }
            #expect(try await retention(booth).sweep(database: database, rest: .milliseconds(1)) == 200)
            let indexed = try await booth.client.send("ZRANGE", "tg:1:{acme}:keys", "0", "-1").array ?? []
            #expect(Set(indexed.compactMap(\.text)) == kept)
        }
    }

    /// A round that ends in the middle leaves nothing behind that the next one doesn't find.
    @Test func anInterruptedRoundIsFinishedByTheNext() async throws {
        struct End: Error {}
        try await open { booth, directory, database in
            var keys: [IssuedKey] = []
            for _ in 0..<5 {
                keys.append(try await issue(directory))
                try await age(keys[keys.count - 1], revokedFor: 2_000, booth)
            }
            await #expect(throws: End.self) {
                try await retention(booth) { throw End() }.sweep(database: database, rest: .seconds(60))
            }
            #expect(try await booth.client.send("ZCARD", "tg:1:{acme}:keys") == .integer(4))
            // Its lock runs out; here it is taken away.
            _ = try await booth.client.send("DEL", "tg:1:{:m}:retention")
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == 4)
            for key in keys { #expect(try await booth.client.send("EXISTS", pointer(key)) == .integer(0)) }
        }
    }
}
