// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Endpoints
import Redis
import TestSupport
import Testing
@testable import Directory
@testable import Keyspace
@testable import Limits
@testable import Octets

@Suite struct DirectoryTests {
    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    /// A directory in a Redis of its own that has the organization `acme`.
    private func withDirectory(_ body: (Directory, RedisServer) async throws -> Void) async throws {
        try await RedisServer.run { server in
            let client = try await connect(server)
            defer { client.close() }
            let directory = Directory(client)
            _ = try await directory.createOrganization(acme)
            try await body(directory, server)
        }
    }

    private func connect(_ server: RedisServer) async throws -> RedisClient {
        try await .connect(to: RedisEndpoint(.unix(path: server.socketPath)), timeout: .seconds(30))
    }

    private func hash(_ key: String, in server: RedisServer) async throws -> [String: String] {
        let lines = try await server.cli("HGETALL", key).split(separator: "\n", omittingEmptySubsequences: false)
        return Dictionary(
            uniqueKeysWithValues: stride(from: 0, to: lines.count - 1, by: 2).map {
                (String(lines[$0]), String(lines[$0 + 1]))
            })
    }

    @Test func anOrganizationIsOneHash() async throws {
        try await withDirectory { directory, server in
            let record = try await hash("tg:1:{acme}", in: server)
            #expect(Set(record.keys) == ["rev", "gen", "name", "status", "created_at"])
            #expect(record["name"] == "acme")
            #expect(record["status"] == "active")
            let revision = try #require(record["rev"])
            #expect(revision.count == 16 && revision.allSatisfy { "0123456789abcdef".contains($0) })
            #expect(try await server.cli("GET", "tg:1:{:m}:meta").count == 32)
            await #expect(throws: DirectoryError.organizationExists("acme")) {
                _ = try await directory.createOrganization(acme)
            }
            #expect(try await hash("tg:1:{acme}", in: server) == record)
        }
    }

    @Test func aKeyIsItsRecordAndWhatFindsIt() async throws {
        try await withDirectory { directory, server in
            let before = try await hash("tg:1:{acme}", in: server)
            let issued = try await directory.issueKey(
                KeyOrder(
                    organization: acme, name: "laptop", user: "ada", expiry: .at(4_000_000_000),
                    limits: "search=100/10s"))
            let digest = String(decoding: CredentialHash(of: Array(issued.key.utf8)).hexadecimal, as: UTF8.self)
            let id = issued.id.local
            #expect(
                try await hash("tg:1:{acme}:k:\(id)", in: server) == [
                    "organization_id": "acme", "key_hash": digest, "created_by_user_id": "ada", "is_active": "1",
                    "name": "laptop", "subject": id, "created_at": "\(issued.createdAt)", "expires_at": "4000000000",
                    "limits": "search=100/10s",
                ])
            #expect(issued.expiresAt == 4_000_000_000)
            #expect(try await server.cli("GET", "tg:1:cred:\(digest)") == "acme \(id)")
            #expect(
                try await server.cli("ZRANGE", "tg:1:{acme}:keys", "0", "-1", "WITHSCORES")
                    == "\(id)\n\(issued.createdAt)")
            #expect(
                try await server.cli("ZRANGE", "tg:1:{acme}:active", "0", "-1", "WITHSCORES") == "\(id)\n4000000000")
            #expect(try await hash("tg:1:{acme}", in: server)["rev"] != before["rev"])
            #expect(issued.key.hasPrefix("mcp_") && issued.key.utf8.count == 47)
            #expect(KeyID(issued.id.text) == issued.id)
        }
    }

    @Test func aKeyWithoutEndIsActiveForEver() async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            #expect(issued.expiresAt == nil)
            #expect(try await hash("tg:1:{acme}:k:\(issued.id.local)", in: server)["expires_at"] == nil)
            #expect(try await server.cli("ZSCORE", "tg:1:{acme}:active", issued.id.local) == "inf")
        }
    }

    /// Expiries are whole seconds: a second that has begun must not be taken off.
    @Test func aKeyLivesAtLeastAsLongAsWasAsked() async throws {
        try await withDirectory { directory, _ in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "a", expiry: .after(60)))
            let lifetime = try #require(issued.expiresAt) - issued.createdAt
            #expect((60...61).contains(lifetime))
        }
    }

    @Test func fiftyAtOnceGetFiveKeys() async throws {
        try await withDirectory { _, server in
            let issued = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for number in 0..<50 {
                    tasks.addTask {
                        let client = try await connect(server)
                        defer { client.close() }
                        do {
                            _ = try await Directory(client).issueKey(KeyOrder(organization: acme, name: "k\(number)"))
                            return true
                        } catch DirectoryError.tooManyActiveKeys("acme", maximum: 5) {
                            return false
                        }
                    }
                }
                return try await tasks.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(issued == 5)
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "5")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:keys") == "5")
            #expect(try await server.cli("EVAL", "return #redis.call('KEYS', 'tg:1:cred:*')", "0") == "5")
        }
    }

    @Test func anOrganizationsOwnNumberCounts() async throws {
        try await withDirectory { directory, server in
            _ = try await server.cli("HSET", "tg:1:{acme}", "max_active_keys", "1")
            _ = try await directory.issueKey(KeyOrder(organization: acme, name: "first"))
            await #expect(throws: DirectoryError.tooManyActiveKeys("acme", maximum: 1)) {
                _ = try await directory.issueKey(KeyOrder(organization: acme, name: "second"))
            }
        }
    }

    @Test func revokedAndExpiredKeysDoNotCount() async throws {
        try await withDirectory { directory, server in
            var order = KeyOrder(organization: acme, name: "only")
            order.maximumActive = 1
            let first = try await directory.issueKey(order)
            #expect(try await directory.revokeKey(first.id))
            let second = try await directory.issueKey(order)
            // As if its time had run out.
            _ = try await server.cli("ZADD", "tg:1:{acme}:active", "1", second.id.local)
            let third = try await directory.issueKey(order)
            #expect(try await server.cli("ZRANGE", "tg:1:{acme}:active", "0", "-1") == third.id.local)
        }
    }

    @Test func revokingTwiceChangesNothing() async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            let before = try await hash("tg:1:{acme}", in: server)
            #expect(try await directory.revokeKey(issued.id))
            let record = try await hash("tg:1:{acme}:k:\(issued.id.local)", in: server)
            #expect(record["is_active"] == "0")
            #expect(try #require(Int(record["revoked_at"] ?? "")) >= issued.createdAt)
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "0")
            let after = try await hash("tg:1:{acme}", in: server)
            #expect(after["rev"] != before["rev"])

            #expect(try await directory.revokeKey(issued.id) == false)
            #expect(try await hash("tg:1:{acme}:k:\(issued.id.local)", in: server) == record)
            #expect(try await hash("tg:1:{acme}", in: server) == after)
        }
    }

    /// Each that replaces the revision; one that is created anew begins beyond all that was counted of it before.
    @Test func everyChangeIsCounted() async throws {
        try await withDirectory { directory, server in
            func changes() async throws -> Int { Int(try await server.cli("HGET", "tg:1:{acme}", "gen")) ?? -1 }
            let first = try await changes()
            #expect(first / 1_000 == Int(try await server.cli("HGET", "tg:1:{acme}", "created_at")))
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            #expect(try await changes() == first + 1)
            let rotated = try await directory.rotateKey(issued.id, grace: 60).key
            #expect(try await changes() == first + 2)
            #expect(try await directory.revokeKey(rotated.id))
            #expect(try await directory.revokeKey(rotated.id) == false)
            #expect(try await changes() == first + 3)
            #expect(try await directory.suspend(acme, true))
            try await directory.set(OrganizationSettings(maximumActiveKeys: .own(3)), of: acme)
            #expect(try await changes() == first + 5)
            // It is in nobody's way.
            _ = try await server.cli("HSET", "tg:1:{acme}", "gen", "many")
            #expect(try await directory.revokeKey(issued.id))
            #expect(try await changes() == 1)
            _ = try await server.cli("HSET", "tg:1:{acme}", "gen", String(first + 5))
            _ = try await directory.deleteOrganization(acme)
            _ = try await directory.createOrganization(acme)
            #expect(try await changes() > first + 5)
        }
    }

    /// Redis undoes nothing of a script that fails half-way.
    @Test(arguments: ["-zrem", "-hset"])
    func whatFailsHalfWayLeavesNoKeyAlive(missing: String) async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            let before = try await hash("tg:1:{acme}", in: server)
            _ = try await server.cli("ACL", "SETUSER", "half", "on", ">secret", "~*", "+@all", missing)
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), username: "half", password: "secret")
            let client = try await RedisClient.connect(to: endpoint, timeout: .seconds(30))
            defer { client.close() }
            await #expect(throws: DirectoryError.self) { try await Directory(client).revokeKey(issued.id) }

            // Whatever the record says by now, sidecars have been told to read it, or nothing has changed.
            let record = try await hash("tg:1:{acme}:k:\(issued.id.local)", in: server)
            let revision = try await hash("tg:1:{acme}", in: server)["rev"]
            #expect((record["is_active"] == "0") == (revision != before["rev"]))
            // Somebody who may do all finishes it.
            try await directory.revokeKey(issued.id)
            #expect(try await hash("tg:1:{acme}:k:\(issued.id.local)", in: server)["is_active"] == "0")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "0")
        }
    }

    @Test func aFullMemoryKeepsNoKeyAlive() async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "1")
            #expect(try await directory.revokeKey(issued.id))
            let before = try await server.cli("DBSIZE")
            let error = await #expect(throws: DirectoryError.self) {
                _ = try await directory.issueKey(KeyOrder(organization: acme, name: "another"))
            }
            guard case .redis(let refusal) = error else {
                Issue.record("not Redis' refusal")
                return
            }
            #expect(refusal.serverCode == "OOM")
            #expect(try await server.cli("DBSIZE") == before)
        }
    }

    /// A bare revision would be taken for an organization.
    @Test func revokingMakesNoOrganization() async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            _ = try await server.cli("DEL", "tg:1:{acme}")
            #expect(try await directory.revokeKey(issued.id))
            #expect(try await server.cli("EXISTS", "tg:1:{acme}") == "0")
        }
    }

    @Test func whatIsNotThereIsSaid() async throws {
        try await withDirectory { directory, server in
            let nobody = try #require(OrganizationID("nobody"))
            await #expect(throws: DirectoryError.organizationMissing("nobody")) {
                _ = try await directory.issueKey(KeyOrder(organization: nobody, name: "laptop"))
            }
            let id = try #require(KeyID("acme/aaaaaaaaaa"))
            await #expect(throws: DirectoryError.keyMissing("acme/aaaaaaaaaa")) { try await directory.revokeKey(id) }
            await #expect(throws: DirectoryError.expiryInThePast) {
                _ = try await directory.issueKey(KeyOrder(organization: acme, name: "late", expiry: .at(1)))
            }
            let names = try await server.cli("KEYS", "*").split(separator: "\n").sorted()
            #expect(names == ["tg:1:{:m}:meta", "tg:1:{acme}", "tg:1:{acme}:audit"])
        }
    }

    @Test func aSidecarsLookUpFindsTheKey() async throws {
        try await withDirectory { directory, server in
            let issued = try await directory.issueKey(
                KeyOrder(
                    organization: acme, name: "laptop", limits: "search=100/10s:200",
                    tools: ToolAccess(allowed: [Glob("get_*")], denied: [Glob("get_secrets")])))
            let client = try await connect(server)
            defer { client.close() }
            let fields = try await client.send(
                "HMGET", "tg:1:{acme}:k:\(issued.id.local)", "key_hash", "is_active", "subject", "not_before",
                "expires_at", "revoked_at", "limits", "tools", "scopes", "allow_from", "meta")
            let record = try #require(KeyRecord(fields.array ?? []))
            #expect(record.isActive && !record.isBounded)
            #expect(record.subject == issued.id.local)
            #expect(record.tools.text == "get_* !get_secrets")
            #expect(
                record.overrides.allowances == [
                    "search": .rate(Limit(count: 100, periodMicroseconds: 10_000_000, burst: 200))
                ])
        }
    }
}

@Suite struct KeyIDTests {
    @Test(arguments: ["acme/7h3kq2mzxb", "a_b-9/aaaaaaaaaa"])
    func takes(text: String) throws {
        #expect(try #require(KeyID(text)).text == text)
    }

    @Test(arguments: [
        "", "acme", "acme/", "/7h3kq2mzxb", "acme/7h3kq2mzx", "acme/7h3kq2mzxbb", "acme/7h3kq2mzx1", "Acme/7h3kq2mzxb",
        "acme/7H3KQ2MZXB", "acme/7h3kq2mzxb/", "{a}/7h3kq2mzxb",
    ])
    func refuses(text: String) {
        #expect(KeyID(text) == nil)
    }
}
