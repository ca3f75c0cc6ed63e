// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Keyspace
import Redis
import TestSupport
import Testing
@testable import Directory
@testable import Limits

private let day = Limit(count: 1_000, periodMicroseconds: 86_400_000_000)

/// What one may write is bounded where it is written, and what is too long all the same is refused alone.
@Suite struct RecordBoundsTests {
    // MARK: Writing

    private func withDirectory(_ body: (Directory, Tollbooth, OrganizationID) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let acme = try #require(OrganizationID("acme"))
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            try await body(directory, booth, acme)
        }
    }

    /// `count` overrides of 15 octets each, with the space between them.
    private func edits(_ numbers: Range<Int>, removing: Bool = false) -> [LimitEdit] {
        numbers.map { number in
            LimitEdit(
                policy: "p\(10_000 + number)",
                allowance: removing ? nil : .quota(CalendarQuota(count: 10, per: .month)))
        }
    }

    /// Of 100 octets each.
    private func globs(_ count: Int) -> [Glob] { names(count, of: "t").map { Glob($0) } }

    private func names(_ count: Int, of letter: String) -> [String] {
        (0..<count).map { String(repeating: letter, count: 95) + "\(10_000 + $0)" }
    }

    @Test func aKeyHasAtMostEightKibibytesOfRules() async throws {
        try await withDirectory { directory, booth, acme in
            func order(tools: Int = 0, scopes: Int = 0, networks: Int = 0) -> KeyOrder {
                var order = KeyOrder(organization: acme, name: "a", tools: ToolAccess(allowed: globs(tools)))
                order.scopes = KeyScopes(Set(names(scopes, of: "s")))
                let blocks = (0..<networks).map { "10.\(100 + $0 / 100).\(100 + $0 % 100).0/24" }
                order.networks = KeyNetworks(parsing: blocks.joined(separator: " ")) ?? KeyNetworks()
                return order
            }
            for (order, longest) in [
                (order(tools: 90), "tools"), (order(scopes: 90), "scopes"), (order(networks: 700), "networks"),
                (order(tools: 42, scopes: 40), "tools"),
            ] {
                let error = await #expect(throws: DirectoryError.self) { _ = try await directory.issueKey(order) }
                guard case .rulesTooLong(_, let octets, longest)? = error, octets > 8_192 else {
                    Issue.record("\(longest): \(String(describing: error))")
                    return
                }
            }
            await #expect(throws: DirectoryError.labelTooLong("name")) {
                _ = try await directory.issueKey(
                    KeyOrder(organization: acme, name: String(repeating: "n", count: 401)))
            }
            #expect(try await booth.client.send("ZCARD", "tg:1:{acme}:keys") == .integer(0))
            _ = try await directory.issueKey(order(tools: 40, scopes: 40))
        }
    }

    /// Each change is small; together they may not come to more than one may.
    @Test func repeatedChangesDoNotPassTheBound() async throws {
        try await withDirectory { directory, booth, acme in
            let key = try await directory.issueKey(
                KeyOrder(organization: acme, name: "a", tools: ToolAccess(allowed: globs(40)))
            ).id
            var refused = false
            for start in stride(from: 0, to: 1_000, by: 50) {
                do {
                    _ = try await directory.setLimits(edits(start..<start + 50), of: key)
                } catch DirectoryError.rulesTooLong {
                    refused = true
                    break
                }
            }
            #expect(refused)
            let fields = try await booth.client.send("HMGET", "tg:1:{acme}:k:\(key.local)", "limits", "tools")
            let octets = fields.array?.reduce(0) { $0 + ($1.text?.utf8.count ?? 0) } ?? 0
            #expect((7_000...8_192).contains(octets))
            // Into as few as one likes, and with nothing lost.
            let left = try await directory.setLimits(edits(0..<50, removing: true), of: key).overrides
            #expect(left.allowances.count > 100)

            await #expect(throws: DirectoryError.self) { _ = try await directory.setLimits(edits(0..<600), of: acme) }
            let plan = try #require(PlanName("pro"))
            await #expect(throws: DirectoryError.self) {
                _ = try await directory.setPlan(plan, LimitOverrides.none.applying(edits(0..<600)))
            }
            // What takes away stands in the audit trail too.
            await #expect(throws: DirectoryError.self) {
                _ = try await directory.setLimits(edits(0..<600, removing: true), of: key)
            }
            #expect(try await directory.audit(of: acme, most: 100).allSatisfy { $0.detail.utf8.count <= 8_192 })
        }
    }

    /// As an older version wrote it: it gets shorter step by step, never longer.
    @Test func whatIsTooLongMayGetShorter() async throws {
        try await withDirectory { directory, booth, acme in
            let key = try await directory.issueKey(KeyOrder(organization: acme, name: "a")).id
            let old = LimitOverrides.none.applying(edits(0..<1_000)).recordText
            try await booth.change(key.local, of: "acme", ["limits": old])
            #expect(try await directory.key(key).status == .unreadable)
            await #expect(throws: DirectoryError.self) {
                _ = try await directory.setLimits(edits(1_000..<1_001), of: key)
            }
            await #expect(throws: DirectoryError.self) { _ = try await directory.rotateKey(key, grace: 0) }
            for start in [0, 250] {
                _ = try await directory.setLimits(edits(start..<start + 250, removing: true), of: key)
            }
            #expect(try await directory.key(key).overrides.allowances.count == 500)
            #expect(try await directory.key(key).status == .active)
        }
    }

    // MARK: Reading

    private let policies = [Policy(name: "org", per: .org, limit: day)]

    /// One of 3 MB, and 64 of 22 KiB: their holders are refused, everybody else passes by the same connection.
    @Test(arguments: [(1, 3_000_000), (64, 22_000)])
    func aRecordBeyondItsBoundIsRefusedAlone(count: Int, octets: Int) async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.organization("other")
            let tools = String(repeating: "tool ", count: octets / 5) + "tool"
            for number in 0..<count { try await booth.key("long\(number)", of: "acme", ["tools": tools]) }
            try await booth.key("short", of: "acme")
            try await booth.key("other", of: "other")
            let gate = try await booth.gate(policies)
            await withTaskGroup(of: Void.self) { tasks in
                for _ in 0..<2 {
                    for number in 0..<count {
                        tasks.addTask {
                            // Of an address each: unknown keys are looked up so many a second.
                            let decision = await gate.admit(key: "long\(number)", from: "10.0.0.\(number)")
                            #expect(decision.reason == .limiterUnavailable(detail: "record too long"))
                        }
                    }
                    for key in ["short", "other"] { tasks.addTask { #expect(await gate.admit(key: key).isAllowed) } }
                }
            }
            #expect(try await gate.counters().withoutRedis == 0)
            // Nothing keeps it out once it is as short as it may be.
            try await booth.change("long0", of: "acme", ["tools": ""])
            #expect(await gate.admit(key: "long0").isAllowed)
        }
    }

    @Test func aReplyOfManyRecordsEndsWhereItIsFull() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            let tools = String(repeating: "t", count: 127)
            for number in 0..<64 {
                try await booth.key(
                    "k\(number)", of: "acme", ["tools": Array(repeating: tools, count: 64).joined(separator: " ")])
            }
            let reply = try await booth.client.evaluate(
                RedisScript.load, keys: ["tg:1:{acme}"] + (0..<64).map { "tg:1:{acme}:k:k\($0)" }, arguments: [])
            let records = try #require(reply.array).dropFirst(2)
            #expect((50..<64).contains(records.count))
            let octets = records.reduce(0) { sum, record in
                sum + (record.array ?? []).reduce(0) { $0 + ($1.text?.utf8.count ?? 0) }
            }
            #expect(octets <= 524_288)
            let gate = try await booth.gate(policies)
            // With the first trip under way the others wait for the next ones.
            await withTaskGroup(of: Void.self) { tasks in
                for number in 0..<64 {
                    tasks.addTask { #expect(await gate.admit(key: "k\(number)", from: "10.0.0.\(number)").isAllowed) }
                }
            }
            #expect(try await gate.counters().withoutRedis == 0)
        }
    }

    /// What stands where an organization, a plan or a pointer should: too much to read.
    @Test func whatIsNoRecordOfAKeyIsBoundedLikewise() async throws {
        try await Tollbooth.open { booth in
            for name in ["acme", "planned", "other"] {
                try await booth.organization(name)
                try await booth.key(name, of: name)
            }
            try await booth.key("lost", of: "other")
            let long = String(repeating: "x=1/s ", count: 500_000)
            _ = try await booth.client.send("HSET", "tg:1:{acme}", "limits", long)
            _ = try await booth.client.send("HSET", "tg:1:{planned}", "plan", "pro")
            _ = try await booth.client.send("HSET", "tg:1:{:m}:plan:pro", "limits", long)
            let hash = String(decoding: CredentialHash(of: Array("mcp_lost".utf8)).hexadecimal, as: UTF8.self)
            _ = try await booth.client.send("SET", "tg:1:cred:\(hash)", long)
            let gate = try await booth.gate(policies)
            for _ in 0..<3 {
                #expect(await gate.admit(key: "acme").reason == .limiterUnavailable(detail: "record too long"))
                #expect(await gate.admit(key: "planned").isUnavailable)
                #expect(await gate.admit(key: "lost").reason == .unknown)
                #expect(await gate.admit(key: "other").isAllowed)
            }
        }
    }

    /// The other columns are shown, so that somebody can find and revoke it.
    @Test func aRecordBeyondItsBoundIsListedAndRevoked() async throws {
        try await withDirectory { directory, booth, acme in
            let key = try await directory.issueKey(KeyOrder(organization: acme, name: "a", user: "ada")).id
            try await booth.change(
                key.local, of: "acme", ["tools": String(repeating: "t", count: 3_000_000)])
            let listed = try #require(try await directory.keys(of: acme).first)
            #expect((listed.name, listed.user, listed.status) == ("a", "ada", .unreadable))
            #expect(listed.tools.text == "!*")
            #expect(try await directory.revokeKey(key))
        }
    }
}
