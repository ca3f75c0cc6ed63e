// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

@Suite struct DirectoryReadingTests {
    private func withDirectory(_ body: (Directory, Tollbooth) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme", limits: "org=7/s")
            try await body(Directory(booth.client), booth)
        }
    }

    private func id(_ text: String) throws -> KeyID { try #require(KeyID(text)) }

    @Test func anOrganizationIsDescribed() async throws {
        try await withDirectory { directory, booth in
            let acme = try #require(OrganizationID("acme"))
            let issued = try await directory.issueKey(KeyOrder(organization: acme, name: "a"))
            _ = try await directory.issueKey(KeyOrder(organization: acme, name: "b"))
            try await directory.revokeKey(issued.id)
            _ = try await booth.client.send("HSET", "tg:1:{acme}", "max_active_keys", "9")
            let described = try await directory.organization(acme)
            #expect((described.activeKeys, described.allKeys, described.maximumActiveKeys) == (1, 2, 9))
            #expect(described.overrides.allowances == ["org": .rate(Limit(count: 7, periodMicroseconds: 1_000_000))])
            #expect(described.createdAt == 1_763_866_666)
            #expect(!described.isSuspended)
            try await booth.organization("acme", status: "suspended")
            #expect(try await directory.organization(acme).isSuspended)
            let nobody = try #require(OrganizationID("nobody"))
            await #expect(throws: DirectoryError.organizationMissing("nobody")) {
                _ = try await directory.organization(nobody)
            }
        }
    }

    /// Expired keys stay in the index until the next one is issued; they don't count.
    @Test func expiredKeysAreNotActive() async throws {
        try await withDirectory { directory, booth in
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:active", "1700000000", "old", "+inf", "new")
            let acme = try #require(OrganizationID("acme"))
            #expect(try await directory.organization(acme).activeKeys == 1)
        }
    }

    @Test func organizationsComeByPagesAndNothingElseDoes() async throws {
        try await withDirectory { directory, booth in
            var names: Set<String> = ["acme"]
            for number in 0..<300 {
                try await booth.organization("org-\(number)")
                try await booth.key("k\(number)", of: "org-\(number)")
                names.insert("org-\(number)")
            }
            for number in 0..<3_000 {
                _ = try await booth.client.send("SET", "tg:1:{a:10.0.\(number / 250).\(number % 250)}:b:address", "1")
            }
            // Of another namespace, of another type, and a hash that is none of ours.
            _ = try await booth.client.send("HSET", "other:1:{stranger}", "rev", "1")
            _ = try await booth.client.send("SET", "tg:1:{text}", "1")
            _ = try await booth.client.send("HSET", "tg:1:{Not-One}", "rev", "1")
            _ = try await booth.client.send("HSET", "tg:1:{empty}", "name", "no revision")
            var found: Set<String> = []
            var pages = 0
            var cursor: String? = "0"
            while let current = cursor {
                let (page, next) = try await directory.organizations(after: current)
                found.formUnion(page.map(\.id.text))
                pages += 1
                cursor = next
            }
            #expect(found == names)
            #expect(pages > 1)
        }
    }

    @Test func keysComeOldestFirstByPages() async throws {
        try await withDirectory { directory, booth in
            let acme = try #require(OrganizationID("acme"))
            let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
            var ids: [String] = []
            for number in 0..<1_100 {
                let local =
                    "aaaaaaa" + String([alphabet[number / 1024], alphabet[number / 32 % 32], alphabet[number % 32]])
                try await booth.key(local, of: "acme", ["created_at": "\(1_700_000_000 + number)"])
                _ = try await booth.client.send("ZADD", "tg:1:{acme}:keys", "\(1_700_000_000 + number)", local)
                ids.append("acme/\(local)")
            }
            var found: [String] = []
            var sizes: [Int] = []
            var pages = KeyPages(directory, of: acme)
            while let page = try await pages.next() {
                found += page.map(\.id.text)
                sizes.append(page.count)
            }
            #expect(found == ids)
            #expect(sizes == [500, 500, 100])
        }
    }

    @Test(arguments: [
        ([:], KeyDescription.Status.active), (["is_active": "0"], .revoked), (["expires_at": "1700000000"], .expired),
        (["expires_at": "4000000000"], .active), (["not_before": "4000000000"], .notYetValid),
        (["revoked_at": "1700000000"], .revoked), (["expires_at": "soon"], .unreadable), (["subject": ""], .unreadable),
    ])
    func theStatusIsWhatARequestWouldBeTold(fields: [String: String], status: KeyDescription.Status) async throws {
        try await withDirectory { directory, booth in
            try await booth.key("aaaaaaaaaa", of: "acme", fields)
            #expect(try await directory.key(try id("acme/aaaaaaaaaa")).status == status)
            let gate = try await booth.gate()
            var decision = await gate.admit(key: "aaaaaaaaaa")
            while decision.isUnavailable { decision = await gate.admit(key: "aaaaaaaaaa") }
            #expect(decision.isAllowed == (status == .active))
        }
    }

    @Test func aSuspendedOrganizationsKeysAreSuspended() async throws {
        try await withDirectory { directory, booth in
            try await booth.key("aaaaaaaaaa", of: "acme")
            try await booth.organization("acme", status: "suspended")
            #expect(try await directory.key(try id("acme/aaaaaaaaaa")).status == .suspended)
        }
    }

    @Test func aKeyIsFoundByItself() async throws {
        try await withDirectory { directory, booth in
            let acme = try #require(OrganizationID("acme"))
            let issued = try await directory.issueKey(
                KeyOrder(organization: acme, name: "a", user: "ada", expiry: .at(4_000_000_000), limits: "search=1/s"))
            let found = try #require(try await directory.key(presenting: Array(issued.key.utf8)))
            #expect(found.id == issued.id)
            #expect((found.name, found.user, found.status) == ("a", "ada", .active))
            #expect((found.createdAt, found.expiresAt, found.revokedAt) == (issued.createdAt, 4_000_000_000, nil))
            #expect(found.subject == issued.id.local)
            #expect(found.overrides.allowances == ["search": .rate(Limit(count: 1, periodMicroseconds: 1_000_000))])
            #expect(try await directory.key(presenting: Array(issued.key.dropLast().utf8)) == nil)
            // A pointer to a record that is of another key finds nothing.
            _ = try await booth.client.send("HSET", "tg:1:{acme}:k:\(issued.id.local)", "key_hash", "0")
            #expect(try await directory.key(presenting: Array(issued.key.utf8)) == nil)
        }
    }
}
