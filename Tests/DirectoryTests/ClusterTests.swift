// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Keyspace
@testable import Limits

/// What operators and sidecars do, on a real node of a cluster: it refuses commands and scripts of several hash slots.
@Suite struct ClusterTests {
    private static let day = 86_400_000_000
    private static let policies = [
        Policy(name: "address", per: .address, appliesTo: .all, limit: Limit(count: 900, periodMicroseconds: day)),
        Policy(name: "org", per: .org, limit: Limit(count: 900, periodMicroseconds: day)),
        Policy(name: "daily", per: .key, .quota(CalendarQuota(count: 900, per: .month))),
        Policy(name: "calls", per: .key, .concurrency(90)),
        Policy(name: "all-calls", per: .global, .concurrency(90)),
        Policy(name: "all", per: .global, limit: Limit(count: 900, periodMicroseconds: day)),
    ]

    /// The codes of the errors it has answered with, whoever asked.
    private func errors(_ booth: Tollbooth) async throws -> [String] {
        let text = try #require(try await booth.client.send("INFO", "errorstats").text)
        return text.matches(of: /errorstat_([A-Z]+)/).map { String($0.1) }.filter { $0 != "NOSCRIPT" }
    }

    private func opened(_ body: (Tollbooth, Directory, OrganizationID) async throws -> Void) async throws {
        try await Tollbooth.open(isCluster: true) { booth in
            let acme = try #require(OrganizationID("acme"))
            try await body(booth, Directory(booth.client), acme)
            #expect(try await errors(booth) == [])
        }
    }

    @Test func itRefusesSeveralHashSlots() async throws {
        try await Tollbooth.open(isCluster: true) { booth in
            await #expect(throws: RedisError.self) {
                _ = try await booth.client.evaluate(
                    .correct, keys: ["tg:1:{acme}:b:org", "tg:1:{:g}:b:all"], arguments: ["0"])
            }
            let codes = try await errors(booth)
            #expect(codes == ["CROSSSLOT"])
        }
    }

    @Test func operatorsKeepToOneHashSlotAtATime() async throws {
        try await opened { booth, directory, acme in
            let pro = try #require(PlanName("pro"))
            let edits = [LimitEdit(policy: "org", allowance: .rate(Limit(count: 5, periodMicroseconds: 1_000_000)))]
            #expect(try await directory.setPlan(pro, LimitOverrides.none.applying(edits)))
            _ = try await directory.createOrganization(
                acme, plan: pro, OrganizationSettings(maximumActiveKeys: .own(9)))
            var order = KeyOrder(
                organization: acme, name: "laptop", user: "ada", expiry: .after(7_200), limits: "daily=5/day",
                tools: ToolAccess(allowed: [Glob("get_*")]))
            order.scopes = KeyScopes(["read"])
            order.start = .after(1)
            let first = try await directory.issueKey(order)
            let second = try await directory.rotateKey(first.id, grace: 60).key
            _ = try await directory.setLimits(edits, of: acme)
            #expect(try await directory.setLimits(edits, of: second.id).other == first.id)
            #expect(try await directory.key(presenting: Array(second.key.utf8))?.rotatedFrom == first.id)
            #expect(try await directory.suspend(acme, true))
            #expect(try await directory.suspend(acme, false))
            #expect(try await directory.revokeKey(first.id))
            #expect(try await directory.keys(of: acme).count == 2)
            #expect(try await directory.organizations(after: "0").page.map(\.id) == [acme])
            #expect(try await directory.plans(after: "0").page.map(\.name) == [pro])
            #expect(try await directory.audit(of: acme, most: 20).count == 9)
            #expect(try await directory.audit(of: nil, most: 9).count == 1)

            let quotas = Quotas(booth.client, namespace: "tg")
            let owner = try await quotas.owner(of: .key(second.id))
            let read = try await quotas.read(owner, of: Self.policies)
            #expect(read.map(\.policy.name) == ["org", "daily", "calls", "all-calls", "all"])
            _ = try await quotas.grant(1, to: owner, Self.policies[1])
            _ = try await quotas.reset(owner, Self.policies[2])

            try await directory.setPlan(nil, of: acme)
            try await directory.deletePlan(pro, usedBy: [])
            #expect(try await directory.deleteOrganization(acme) == 2)
            let left = try await booth.client.send("KEYS", "*").array?.compactMap(\.text).sorted()
            #expect(left == ["tg:1:{:m}:audit", "tg:1:{:m}:meta", "tg:1:{:m}:plans"])
        }
    }

    @Test func sidecarsAndRetentionDoToo() async throws {
        try await opened { booth, directory, acme in
            _ = try await directory.createOrganization(acme)
            guard case .bytes(let database) = try await booth.client.send("GET", "tg:1:{:m}:meta") else {
                Issue.record("no id")
                return
            }
            let sidecars = Sidecars(booth.client, namespace: "tg")
            let published = PolicySet.published(Self.policies)
            let routes = RouteSet.published([RouteSet.Route("/a")])
            #expect(
                try await sidecars.beat(
                    "web-1", policies: published.set, text: published.text, routes: routes, database: database))
            #expect(try await sidecars.routeSet(routes.set.hash) == routes.set)
            #expect(try await sidecars.live().map(\.name) == ["web-1"])
            #expect(try await sidecars.policySet(published.set.hash)?.policies.count == Self.policies.count)
            try await sidecars.retire("web-1", policies: published.set, routes: routes.set)
            #expect(try await sidecars.live().isEmpty)

            let old = try await directory.issueKey(KeyOrder(organization: acme, name: "old"))
            try await directory.revokeKey(old.id)
            let past = old.createdAt - 5_000
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:keys", "\(past)", old.id.local)
            _ = try await booth.client.send("HSET", "tg:1:{acme}:k:\(old.id.local)", "revoked_at", "\(past)")
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:unfinished", "\(past)", "aaaaaaaaaa")
            let retention = Retention(
                booth.client, namespace: "tg", retention: .seconds(1_000), who: "tollgate@test",
                figureLifetime: .seconds(9_000), pause: {})
            #expect(try await retention.sweep(database: database, rest: .seconds(60)) == 1)
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:unfinished") == .integer(0))
            #expect(try await sidecars.expiringKeys()?.keys.text == "24h=0 7d=0 30d=0")
        }
    }

    @Test func requestsArePaidSlotBySlot() async throws {
        try await opened { booth, directory, acme in
            let pro = try #require(PlanName("pro"))
            _ = try await directory.setPlan(pro, .none)
            _ = try await directory.createOrganization(acme, plan: pro)
            let key = try await directory.issueKey(KeyOrder(organization: acme, name: "laptop"))
            let gate = try await booth.gate(Self.policies) { $0.paysBySlot = true }
            #expect(await gate.admit(key: "nobody").reason == .unknown)
            let presented = String(key.key.dropFirst("mcp_".count))
            for _ in 0..<2 { #expect(await gate.admit(key: presented).isAllowed) }
            try await gate.account { .unserved }
            for _ in 0..<2 { try await gate.release() }
            // Behind all of these on the same connection.
            #expect(await gate.admit(key: presented).remaining.sorted() == [89, 89, 897, 898, 898, 898])
            try await gate.release()
            try await gate.close()
            #expect(try await booth.client.send("EXISTS", "tg:1:{acme}:c:calls:\(key.id.local)") == .integer(0))
            #expect(try await booth.client.send("EXISTS", "tg:1:{:g}:c:all-calls") == .integer(0))
        }
    }
}
