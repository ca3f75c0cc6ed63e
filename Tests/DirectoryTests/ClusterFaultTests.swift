// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Redis
import TestSupport
import Testing

@testable import Directory
@testable import Keyspace
@testable import Limits

/// What is half done when one of a cluster's primaries is gone, and what becomes of it.
@Suite struct ClusterFaultTests {
    private static let names = Names(namespace: "tg")
    private static let organizations = (0..<24).compactMap { OrganizationID("org-\($0)") }

    private func opened(_ body: (RedisCluster, Directory) async throws -> Void) async throws {
        try await RedisCluster.run { cluster in
            let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url))
            defer { redis.close() }
            try await body(cluster, Directory(redis))
        }
    }

    /// One that has neither the database's id nor this organization.
    private func other(
        than organization: OrganizationID, _ cluster: RedisCluster
    ) async throws -> RedisServer {
        let meta = try await cluster.owner(of: Self.names.instance)
        let owner = try await cluster.owner(of: Self.names.organization(organization.text))
        return try #require(cluster.nodes.first { $0 !== meta && $0 !== owner })
    }

    /// The pointer of each third key lies on the primary that is gone.
    @Test func aKeyWhosePointerCannotBePlacedIsTakenBack() async throws {
        try await opened { cluster, directory in
            let acme = Self.organizations[0]
            _ = try await directory.createOrganization(acme, OrganizationSettings(maximumActiveKeys: .own(99)))
            try await other(than: acme, cluster).kill()
            var (issued, failed): (Set<KeyID>, Int) = ([], 0)
            while failed < 3 {
                do {
                    issued.insert(try await directory.issueKey(KeyOrder(organization: acme, name: "laptop")).id)
                } catch DirectoryError.redis(let error) {
                    // The first may have been under way when the connection was lost.
                    if case .connectionClosed = error { continue }
                    guard case .unfit(.failingOver) = error else { throw error }
                    failed += 1
                }
            }
            let unfinished = try await directory.redis.send("ZCARD", Self.names.unfinishedKeys(acme.text)).integer ?? 0
            #expect(unfinished <= 1)
            #expect(try await directory.organization(acme).activeKeys == issued.count + Int(unfinished))
        }
    }

    private func line(_ number: Int, _ fields: [String: String] = [:]) throws -> ImportedKey {
        let digits = String(number, radix: 16)
        let all = [
            "organization_id": Self.organizations[number].text,
            "key_hash": String(repeating: "0", count: 64 - digits.count) + digits,
        ].merging(fields) { $1 }
        var values: [KeyColumn: String] = [:]
        for (name, value) in all { values[try #require(KeyColumn(name))] = value }
        return try ImportedKey(values)
    }

    /// A file that revokes is taken as far as it goes.
    @Test func whatEndedEndsWhereThePrimaryIsThere() async throws {
        try await opened { cluster, directory in
            let places = Self.organizations.indices
            let writer = try await KeyImport(directory, maximumActive: 9, createsOrganizations: true)
            let first = try await writer(try places.map { try line($0) })
            #expect(first.allSatisfy { $0 == .imported })
            let dead = try await other(than: Self.organizations[0], cluster)
            try await dead.kill()
            await #expect(throws: DirectoryError.self) {
                try await writer(try places.map { try line($0, ["is_active": "false"]) })
            }
            var theirs = 0
            for id in Self.organizations {
                guard try await cluster.owner(of: Self.names.organization(id.text)) !== dead else { continue }
                theirs += 1
                #expect(try await directory.organization(id).activeKeys == 0)
            }
            #expect(1..<24 ~= theirs)
        }
    }

    @Test func anOrganizationIsDeletedWithoutTheOthersPrimary() async throws {
        try await opened { cluster, directory in
            let acme = Self.organizations[0]
            for id in Self.organizations { _ = try await directory.createOrganization(id) }
            let dead = try await other(than: acme, cluster)
            try await dead.kill()
            #expect(try await directory.deleteOrganization(acme) == 0)
            await #expect(throws: DirectoryError.organizationMissing(acme.text)) {
                try await directory.organization(acme)
            }
            for id in Self.organizations {
                guard try await cluster.owner(of: Self.names.organization(id.text)) === dead else { continue }
                await #expect(throws: DirectoryError.self) { try await directory.deleteOrganization(id) }
            }
        }
    }

    @Test func aPrimaryThatHasLostItsReplicasIsTheFurthestBehind() {
        let (good, none) = (Reach(replicas: Replicas(attached: 2, reached: 1), isOnDisk: true), Reach(isOnDisk: true))
        let alone = Replicas(attached: 0, reached: 0)
        #expect(Reach(ofNodes: [good, none]) == Reach(replicas: alone, isOnDisk: true))
        #expect(Reach(ofNodes: [none, none]) == none)
        #expect(Reach(ofNodes: [good]) == good)
    }
}
