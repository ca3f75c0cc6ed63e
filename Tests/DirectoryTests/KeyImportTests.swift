// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

/// What an import does about keys that are there, were there, or replace each other.
@Suite struct KeyImportTests {
    private static let day = 86_400

    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    private func open(_ body: (Tollbooth, Directory, _ now: Int) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            let now = try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) }
            try await body(booth, directory, try #require(now))
        }
    }

    private func hash(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    private func id(_ number: Int) -> String {
        "aaaaaaaa" + String(UnicodeScalar(UInt8(97 + number / 26))) + String(UnicodeScalar(UInt8(97 + number % 26)))
    }

    /// By its number, which says its id and its hash.
    private func line(_ number: Int, _ fields: [String: String] = [:]) throws -> ImportedKey {
        var values: [KeyColumn: String] = [.id: "acme/\(id(number))"]
        let all = ["organization_id": "acme", "key_hash": hash(number)].merging(fields) { $1 }
        for (name, value) in all { values[try #require(KeyColumn(name))] = value }
        return try ImportedKey(values)
    }

    private func take(
        _ keys: [ImportedKey], _ directory: Directory, most: Int = 5
    ) async throws -> [KeyImport.Outcome] {
        let writer = try await KeyImport(directory, maximumActive: most, createsOrganizations: false)
        return try await writer(keys)
    }

    private func active(_ booth: Tollbooth) async throws -> Set<String> {
        let locals = try await booth.client.send("ZRANGE", "tg:1:{acme}:active", "0", "-1").array ?? []
        return Set(locals.compactMap(\.text))
    }

    // MARK: Keys that were there

    private func purge(_ local: String, _ booth: Tollbooth, _ now: Int) async throws {
        let client = booth.client
        _ = try await client.send("HSET", "tg:1:{acme}:k:\(local)", "revoked_at", "\(now - 2_000)")
        _ = try await client.send("ZADD", "tg:1:{acme}:keys", "\(now - 5_000)", local)
        _ = try await client.send("DEL", "tg:1:{:m}:retention")
        guard case .bytes(let database) = try await client.send("GET", "tg:1:{:m}:meta") else {
            Issue.record("no id")
            return
        }
        let retention = Retention(
            client, namespace: "tg", retention: .seconds(1_000), who: "t", figureLifetime: .seconds(9_000), pause: {})
        #expect(try await retention.sweep(database: database, rest: .seconds(60)) == 1)
        #expect(try await client.send("EXISTS", "tg:1:{acme}:k:\(local)") == .integer(0))
    }

    /// However often the file comes that is older than the revocation.
    @Test func whatRetentionHasTakenAwayDoesNotComeBack() async throws {
        try await open { booth, directory, now in
            #expect(try await take([try line(1)], directory) == [.imported])
            #expect(try await directory.revokeKey(try #require(KeyID("acme/\(id(1))"))))
            try await purge(id(1), booth, now)
            // Issued here, so the file knows it by its hash alone.
            let issued = try await directory.issueKey(
                KeyOrder(organization: acme, name: "a"))
            let hash = CredentialHash(of: Array(issued.key.utf8)).text
            #expect(try await directory.revokeKey(issued.id))
            try await purge(issued.id.local, booth, now)

            let file = [
                try line(1), try line(1, ["is_active": "false"]), try line(2),
                try line(3, ["id": "", "key_hash": hash]),
            ]
            for outcome: KeyImport.Outcome in [.imported, .there] {
                #expect(
                    try await take(file, directory, most: 1) == [.staysRevoked, .there, outcome, .staysRevoked])
            }
            #expect(try await active(booth) == [id(2)])
            #expect(try await directory.key(presenting: Array(issued.key.utf8)) == nil)
        }
    }

    /// Hashes of keys that ended are kept for years, not for ever.
    @Test func whatEndedYearsAgoIsForgotten() async throws {
        try await open { booth, directory, now in
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:ended", "\(now - 6 * 366 * Self.day)", hash(9))
            #expect(try await take([try line(1)], directory) == [.imported])
            #expect(try await directory.revokeKey(try #require(KeyID("acme/\(id(1))"))))
            try await purge(id(1), booth, now)
            #expect(
                try await booth.client.send("ZRANGE", "tg:1:{acme}:ended", "0", "-1").array?.compactMap(\.text)
                    == [hash(1)])
        }
    }

    // MARK: Keys that replace each other

    private func replaced(_ number: Int, by successor: Int, until moment: Int) throws -> ImportedKey {
        try line(number, ["rotated_to": id(successor), "revoked_at": "\(moment)"])
    }

    @Test(arguments: [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    func aKeyInGraceNeedsNoPlace(order: [Int]) async throws {
        try await open { booth, directory, now in
            let file =
                [
                    try replaced(0, by: 5, until: now + Self.day), try line(1), try line(2), try line(3), try line(4),
                    try line(5, ["rotated_from": id(0)]),
                ]
            let keys = order.map { file[$0] }
            #expect(try await take(keys, directory) == Array(repeating: .imported, count: 6))
            #expect(try await active(booth) == Set((1...5).map(id)))
        }
    }

    /// What says that it is in grace, and that nobody has replaced, or for longer than there is grace.
    @Test func whatOnlySaysThatItIsReplacedNeedsOne() async throws {
        try await open { booth, directory, now in
            let made = [
                try line(0, ["rotated_from": id(1)]), try replaced(1, by: 0, until: now + Self.day),
                // The successor names another, is missing, or is itself not counted.
                try replaced(2, by: 0, until: now + Self.day), try replaced(3, by: 90, until: now + Self.day),
                try replaced(4, by: 1, until: now + Self.day),
                try line(5, ["rotated_from": id(6)]), try replaced(6, by: 5, until: now + 40 * Self.day),
            ]
            let full = KeyImport.Outcome.refused(.full(acme, maximum: 5))
            #expect(
                try await take(made, directory) == Array(repeating: .imported, count: 6) + [full])
            #expect(try await active(booth) == Set([0, 2, 3, 4, 5].map(id)))
            let more = try (10..<60).map { try replaced($0, by: 0, until: now + Self.day) }
            #expect(try await take(more, directory) == Array(repeating: full, count: 50))
        }
    }

    @Test func whatIsNoRecordStopsNoOther() async throws {
        try await open { booth, directory, now in
            _ = try await booth.client.send("SET", "tg:1:{acme}:k:\(id(1))", "x")
            let taken = KeyImport.Outcome.refused(.idTaken(try #require(KeyID("acme/\(id(1))"))))
            #expect(try await take([try line(1), try line(2)], directory) == [taken, .imported])
            // Nor does it keep what retention takes away.
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:keys", "\(now - 5_000)", id(1))
            #expect(try await directory.revokeKey(try #require(KeyID("acme/\(id(2))"))))
            try await purge(id(2), booth, now)
        }
    }

    // MARK: Keys that ended elsewhere

    /// As `key revoke` does it: what it replaced counts again.
    @Test func whoeverEndsByAFileEndsAsByHand() async throws {
        try await open { booth, directory, now in
            let issued = try await directory.issueKey(
                KeyOrder(organization: acme, name: "a"))
            let new = try await directory.rotateKey(issued.id, grace: 3_600)
            let hash = CredentialHash(of: Array(new.key.key.utf8)).text
            #expect(try await active(booth) == [new.key.id.local])
            let ended = try line(1, ["id": "", "key_hash": hash, "is_active": "false"])
            for outcome: KeyImport.Outcome in [.revoked, .there] {
                #expect(try await take([ended], directory) == [outcome])
            }
            #expect(try await active(booth) == [issued.id.local])
            let entries = try await directory.audit(of: acme, most: 10)
                .filter { $0.what == "key.revoke" }
            #expect(entries.map(\.target) == [new.key.id.text])
            #expect(entries.map(\.detail) == ["import"])
        }
    }

    @Test func aPastRevocationIsOneWhateverElseIsSaid() async throws {
        try await open { booth, directory, now in
            #expect(try await take([try line(1), try line(2)], directory) == [.imported, .imported])
            let file = [
                try line(1, ["revoked_at": "\(now - 10)"]), try line(2, ["revoked_at": "\(now + 600)"]),
                try line(3, ["revoked_at": "\(now - 10)"]),
            ]
            #expect(try await take(file, directory) == [.revoked, .there, .imported])
            #expect(try await take(file, directory) == [.there, .there, .there])
            #expect(try await take([try line(1), try line(3)], directory) == [.staysRevoked, .staysRevoked])
            #expect(try await active(booth) == [id(2)])
        }
    }

    @Test func aFullMemoryKeepsNobodyAlive() async throws {
        try await open { booth, directory, _ in
            let issued = try await directory.issueKey(
                KeyOrder(organization: acme, name: "a"))
            #expect(try await take([try line(1), try line(2)], directory) == [.imported, .imported])
            _ = try await booth.client.send("CONFIG", "SET", "maxmemory", "1")
            let hash = CredentialHash(of: Array(issued.key.utf8)).text
            let file = [
                try line(1, ["is_active": "false"]), try line(2), try line(3),
                try line(4, ["id": "", "key_hash": hash, "is_active": "false"]),
            ]
            #expect(try await take(file, directory) == [.revoked, .there, .refused(.noMemory), .revoked])
            #expect(try await active(booth) == [id(2)])
            _ = try await booth.client.send("CONFIG", "SET", "maxmemory", "0")
            #expect(try await take(file, directory) == [.there, .there, .imported, .there])
        }
    }
}
