// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Octets
import Redis
import TestSupport
import Testing

@testable import Directory
@testable import Keyspace
@testable import Limits

/// What operators do, on a cluster of three primaries: each organization is on one of them, and lists are of all.
@Suite struct ClusterPrimariesTests {
    private static let day = 86_400_000_000
    private static let policies = [
        Policy(name: "org", per: .org, limit: Limit(count: 900, periodMicroseconds: day)),
        Policy(name: "daily", per: .key, .quota(CalendarQuota(count: 900, per: .day))),
        Policy(name: "calls", per: .key, .concurrency(90)),
        Policy(name: "all", per: .global, limit: Limit(count: 900, periodMicroseconds: day)),
    ]
    private static let names = Names(namespace: "tg")
    private static let organizations = (0..<24).compactMap { OrganizationID("org-\($0)") }

    private func connected<Value>(
        to cluster: RedisCluster, patience: Duration = .zero, _ body: (Directory) async throws -> Value
    ) async throws -> Value {
        let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url), patience: patience)
        defer { redis.close() }
        return try await body(Directory(redis))
    }

    private func opened(
        patience: Duration = .zero, _ body: (RedisCluster, Directory) async throws -> Void
    ) async throws {
        try await RedisCluster.run { cluster in
            try await connected(to: cluster, patience: patience) { try await body(cluster, $0) }
        }
    }

    private func list(_ directory: Directory) async throws -> [OrganizationID] {
        var found: [OrganizationID] = []
        var cursor: String? = "0"
        while let current = cursor {
            let (page, next) = try await directory.organizations(after: current)
            found += page.map(\.id)
            cursor = next
        }
        return found.sorted { $0.text < $1.text }
    }

    private func owner(_ organization: OrganizationID, _ cluster: RedisCluster) async throws -> RedisServer {
        try await cluster.owner(of: Self.names.organization(organization.text))
    }

    /// The names of all nodes.
    private func keys(_ cluster: RedisCluster) async throws -> Set<String> {
        var found: Set<String> = []
        for node in cluster.nodes {
            found.formUnion(
                try await node.cli("KEYS", "*").split(separator: "\n").map(String.init).filter { !$0.isEmpty })
        }
        return found
    }

    @Test func organizationsAndTheirKeysAreOnAllPrimaries() async throws {
        try await opened { cluster, directory in
            let pro = try #require(PlanName("pro"))
            let edits = [LimitEdit(policy: "org", allowance: .rate(Limit(count: 5, periodMicroseconds: 1_000_000)))]
            #expect(try await directory.setPlan(pro, LimitOverrides.none.applying(edits)))
            var issued: [IssuedKey] = []
            for id in Self.organizations {
                _ = try await directory.createOrganization(
                    id, plan: pro, OrganizationSettings(maximumActiveKeys: .own(9)))
                issued.append(try await directory.issueKey(KeyOrder(organization: id, name: "laptop", user: "ada")))
            }
            for node in cluster.nodes { #expect(try await node.cli("KEYS", "tg:1:{org-*}").isEmpty == false) }
            #expect(try await list(directory) == Self.organizations.sorted { $0.text < $1.text })
            #expect(try await list(of: directory) == [pro])
            let found = try await directory.keys(presenting: issued.map { CredentialHash(of: Array($0.key.utf8)) })
            #expect(found.map { $0?.id } == issued.map(\.id))
            var pages = KeyPages(directory, of: nil)
            var all: [KeyID] = []
            while let page = try await pages.next() { all += page.map(\.id) }
            #expect(Set(all) == Set(issued.map(\.id)))
            #expect(all.count == issued.count)

            for (index, key) in issued.enumerated() {
                let id = Self.organizations[index]
                let second = try await directory.rotateKey(key.id, grace: 60).key
                _ = try await directory.setLimits(edits, of: id)
                #expect(try await directory.setLimits(edits, of: second.id).other == key.id)
                #expect(try await directory.suspend(id, true))
                #expect(try await directory.suspend(id, false))
                #expect(try await directory.audit(of: id, most: 20).isEmpty == false)
            }
            let revoked = await directory.revokeKeys(issued.map { ($0.id, nil) }, reason: "test")
            #expect(try revoked.allSatisfy { try $0.get() })
            // All nodes have been written to, and have no replicas.
            #expect(try await directory.reach(within: 1).replicas == nil)

            for id in Self.organizations {
                try await directory.setPlan(nil, of: id)
                #expect(try await directory.deleteOrganization(id) == 2)
            }
            try await directory.deletePlan(pro, usedBy: [])
            #expect(try await list(directory).isEmpty)
            let left = ["tg:1:{:m}:audit", "tg:1:{:m}:meta", "tg:1:{:m}:plans", Self.names.guarded] + Self.names.guards
            #expect(try await keys(cluster) == Set(left))
        }
    }

    private func list(of directory: Directory) async throws -> [PlanName] {
        var found: [PlanName] = []
        var cursor: String? = "0"
        while let current = cursor {
            let (page, next) = try await directory.plans(after: current)
            found += page.map(\.name)
            cursor = next
        }
        return found
    }

    /// Of one that is a primary no more nobody has the rest.
    @Test func aScanThatHasLostItsPrimaryBeginsAnew() async throws {
        try await opened { cluster, directory in
            for id in Self.organizations { _ = try await directory.createOrganization(id) }
            let first = try await directory.redis.scan(after: "0", matching: "tg:1:{org-*}", step: "1000")
            let anew = try await directory.redis.scan(after: "10.0.0.9:6379 77", matching: "tg:1:{org-*}", step: "1000")
            // In which order they come, and whether one comes twice, is up to the table that may still be growing.
            #expect(Set(anew.names) == Set(first.names))
            #expect(anew.next == first.next)
            let second = try #require(directory.redis.primaries[1].address)
            #expect(first.next == "\(second) 0")
            let next = try await directory.redis.scan(after: "\(second) 0", matching: "tg:1:{org-*}", step: "1000")
            #expect(Set(next.names).isDisjoint(with: first.names))
            #expect(next.names.isEmpty == false)
        }
    }

    @Test func quotasUsageAndSidecarsAreToo() async throws {
        try await opened { cluster, directory in
            let quotas = Quotas(directory.redis, namespace: "tg")
            for id in Self.organizations {
                _ = try await directory.createOrganization(id)
                let key = try await directory.issueKey(KeyOrder(organization: id, name: "laptop")).id
                let owner = try await quotas.owner(of: .key(key))
                #expect(
                    try await quotas.read(owner, of: Self.policies).map(\.policy.name) == [
                        "org", "daily", "calls", "all",
                    ])
                _ = try await quotas.grant(1, to: owner, Self.policies[0])
                #expect(try await !quotas.reset(owner, Self.policies[1]))
                let history = UsageHistory(directory.redis, namespace: "tg")
                let today = try await history.today()
                let name = Self.names.usage(id.text, day: today.number)
                _ = try await directory.redis.send("HSET", name, "\(key.local):search:a", "3")
                #expect(try await history.entries(on: today, of: id).map(\.sum.allowed) == [3])
            }
            let database = try #require(try await directory.databaseID())
            let sidecars = Sidecars(directory.redis, namespace: "tg")
            let published = PolicySet.published(Self.policies)
            #expect(
                try await sidecars.beat(
                    "web-1", policies: published.set, text: published.text,
                    routes: RouteSet.published([RouteSet.Route("/a")]), database: Array(database.utf8)))
            #expect(try await sidecars.live().map(\.name) == ["web-1"])
            // In whichever part the other namespace's sidecars are.
            #expect(try await Sidecars(directory.redis, namespace: "other").otherNamespaces() == ["tg"])
        }
    }

    @Test func retentionSweepsAllPrimaries() async throws {
        try await opened { cluster, directory in
            for id in Self.organizations {
                _ = try await directory.createOrganization(id)
                let old = try await directory.issueKey(KeyOrder(organization: id, name: "old"))
                try await directory.revokeKey(old.id)
                let past = old.createdAt - 5_000
                _ = try await directory.redis.send("ZADD", Self.names.keys(id.text), "\(past)", old.id.local)
                _ = try await directory.redis.send("HSET", Self.names.record(old.id), "revoked_at", "\(past)")
                _ = try await directory.issueKey(KeyOrder(organization: id, name: "soon", expiry: .after(600)))
            }
            let database = try #require(try await directory.databaseID())
            let retention = Retention(
                directory.redis, namespace: "tg", retention: .seconds(1_000), who: "tollgate@test",
                figureLifetime: .seconds(9_000), pause: {})
            let count = Self.organizations.count
            #expect(try await retention.sweep(database: Array(database.utf8), rest: .seconds(60)) == count)
            let figure = try await Sidecars(directory.redis, namespace: "tg").expiringKeys()
            #expect(figure?.keys.text.hasPrefix("24h=\(count) 7d=\(count) 30d=\(count) ") == true)
        }
    }

    @Test func keysAreImportedIntoAllPrimaries() async throws {
        try await opened { cluster, directory in
            let lines = try (0..<120).map { number in
                let digits = String(number, radix: 16)
                var values: [KeyColumn: String] = [:]
                for (name, value) in [
                    "organization_id": "org-\(number % 24)",
                    "key_hash": String(repeating: "0", count: 64 - digits.count) + digits,
                ] { values[try #require(KeyColumn(name))] = value }
                return try ImportedKey(values)
            }
            let writer = try await KeyImport(directory, maximumActive: 9, createsOrganizations: true)
            #expect(try await writer(lines).allSatisfy { $0 == .imported })
            #expect(try await writer(lines).allSatisfy { $0 == .there })
            #expect(try await list(directory).count == 24)
        }
    }

    // MARK: Which database it is

    @Test func eachPartShowsTheDatabase() async throws {
        try await opened { cluster, directory in
            #expect(try await directory.guards()?.amiss == 64)
            _ = try await directory.createOrganization(Self.organizations[0])
            let id = try #require(try await directory.databaseID())
            let guards = try #require(try await directory.guards())
            #expect(guards == DatabaseGuards(id: id, shown: Array(repeating: id, count: 64), isGuarded: true))
            // A part that is empty is no new one.
            let first = try await cluster.owner(of: Self.names.instance)
            let emptied = try #require(cluster.nodes.first { $0 !== first })
            _ = try await emptied.cli("FLUSHALL")
            _ = try await directory.createOrganization(Self.organizations[1])
            #expect(try await directory.guards()?.amiss ?? 0 > 15)
            #expect(try await directory.guards()?.show(id) == false)
            #expect(try await directory.adoptDatabase(id) == id)
            #expect(try await directory.guards()?.show(id) == true)
            let other = DatabaseID.proposal()
            #expect(try await directory.adoptDatabase(other) == id)
            #expect(try await directory.guards()?.show(other) == true)
        }
    }

    /// The part that knew it has lost it, or another database's node was taken in.
    @Test func aDatabaseThatIsTornIsToldOf() async throws {
        try await opened { cluster, directory in
            _ = try await directory.createOrganization(Self.organizations[0])
            let id = try #require(try await directory.databaseID())
            _ = try await directory.redis.send("DEL", Self.names.instance)
            _ = try await directory.redis.send("DEL", Self.names.guarded)
            await #expect(throws: DirectoryError.databaseTorn(ids: [id])) {
                try await directory.createOrganization(Self.organizations[1])
            }
            #expect(try await directory.databaseID() == nil)
            _ = try await directory.adoptDatabase(id)
            _ = try await directory.createOrganization(Self.organizations[1])
        }
    }

    // MARK: Faults

    @Test func verbsWorkWhileASlotMoves() async throws {
        try await opened { cluster, directory in
            let acme = Self.organizations[0]
            _ = try await directory.createOrganization(acme, OrganizationSettings(maximumActiveKeys: .own(999)))
            let name = Self.names.organization(acme.text)
            let (slot, source) = (try await cluster.slot(of: name), try await cluster.owner(of: name))
            let target = try #require(cluster.nodes.first { $0 !== source })
            async let moving: Void = {
                for _ in 0..<3 {
                    try await cluster.move(slot, from: source, to: target)
                    try await cluster.move(slot, from: target, to: source)
                }
            }()
            var ids: Set<KeyID> = []
            for number in 0..<40 {
                let key = try await directory.issueKey(KeyOrder(organization: acme, name: "k\(number)"))
                ids.insert(key.id)
                if number.isMultiple(of: 5) { ids.insert(try await directory.rotateKey(key.id, grace: 60).key.id) }
                #expect(try await directory.key(presenting: Array(key.key.utf8))?.id == key.id)
            }
            try await moving
            #expect(try await Set(directory.keys(of: acme).map(\.id)) == ids)
            #expect(try await list(directory) == [acme])
            #expect(try await directory.deleteOrganization(acme) == ids.count)
            let left = try await keys(cluster).filter { $0.contains("{org-") || $0.contains("cred:") }
            #expect(left == [])
        }
    }

    @Test func aDeadPrimaryCostsItsOwnOrganizations() async throws {
        try await opened { cluster, directory in
            for id in Self.organizations { _ = try await directory.createOrganization(id) }
            let dead = cluster.nodes[2]
            var theirs: [OrganizationID] = []
            for id in Self.organizations where try await owner(id, cluster) === dead { theirs.append(id) }
            #expect(1..<24 ~= theirs.count)
            try await dead.kill()
            // As far as it was read, it is no list of all.
            await #expect(throws: DirectoryError.self) { try await list(directory) }
            for id in Self.organizations {
                if theirs.contains(id) {
                    await #expect(throws: DirectoryError.self) { try await directory.organization(id) }
                } else {
                    #expect(try await directory.organization(id).id == id)
                    #expect(try await directory.suspend(id, true))
                }
            }
            let condition = try #require(await directory.clusterCondition())
            let silent = condition.primaries.filter { if case .failure = $0.condition { true } else { false } }
            #expect(silent.map(\.address.port) == [dead.tcpPort])
            #expect(condition.guards == nil)
            try await dead.start()
            try await cluster.settle()
        }
    }

    @Test func eachPrimaryIsAskedHowItDoes() async throws {
        try await opened { cluster, directory in
            _ = try await directory.createOrganization(Self.organizations[0])
            _ = try await cluster.nodes[1].cli("CONFIG", "SET", "cluster-require-full-coverage", "yes")
            _ = try await cluster.nodes[0].cli("CONFIG", "SET", "maxmemory", "100mb")
            let condition = try #require(await directory.clusterCondition())
            #expect(condition.needsFullCoverage == true)
            #expect(condition.unowned == 0)
            #expect(condition.guards?.amiss == 0)
            let slots = condition.primaries.sorted { $0.slots[0].lowerBound < $1.slots[0].lowerBound }
            #expect(slots.map(\.slots) == [[0...5460], [5461...10921], [10922...16383]])
            #expect(slots.map(\.address.port) == cluster.nodes.map(\.tcpPort))
            let first = try slots[0].condition.get()
            #expect(first.eviction?.maximumMemory == 100 * 1_048_576)
            #expect(first.identity?.mode == "cluster")
            for node in cluster.nodes {
                _ = try await node.cli("CONFIG", "SET", "cluster-require-full-coverage", "no")
            }
            #expect(await directory.clusterCondition()?.needsFullCoverage == false)
        }
    }
}
