// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Redis
import TestSupport
import Testing

@testable import Directory

@Suite struct ServerConditionTests {
    typealias Persistence = ServerCondition.Persistence
    typealias Replication = ServerCondition.Replication

    @Test(
        arguments: [
            ("noeviction", .nothing), ("volatile-ttl", .expiring("volatile-ttl")), ("allkeys-lru", .any("allkeys-lru")),
            ("new-one", .any("new-one")),
        ] as [(String, EvictionPolicy)])
    func aPolicyByItsName(name: String, policy: EvictionPolicy) {
        #expect(EvictionPolicy(name) == policy)
        #expect(policy.name == name)
    }

    @Test(
        arguments: [
            ("aof_enabled:1\nrdb_last_bgsave_status:ok\naof_last_write_status:ok", Persistence(appendsOnly: true)),
            ("aof_enabled:0\nrdb_last_bgsave_status:ok\naof_last_write_status:err", Persistence(appendsOnly: false)),
            ("aof_enabled:1\naof_last_write_status:err", Persistence(appendsOnly: true, hasFailed: true)),
            ("aof_enabled:0\nrdb_last_bgsave_status:err", Persistence(appendsOnly: false, hasFailed: true)),
            ("loading:0", nil),
        ] as [(String, Persistence?)])
    func whatARestartLeaves(text: String, persistence: Persistence?) {
        #expect(Persistence(InfoFields(text)) == persistence)
    }

    @Test(
        arguments: [
            ("role:master\nconnected_slaves:0", Replication(replicas: [], needsReplicas: false)),
            (
                "connected_slaves:2\nmin_slaves_good_slaves:1\nslave0:ip=10.0.0.7,port=6379,state=online,offset=1,lag=2\n"
                    + "slave1:ip=10.0.0.8,port=6380,state=wait_bgsave,offset=0",
                Replication(
                    replicas: [
                        .init(address: "10.0.0.7:6379", isOnline: true, lag: 2),
                        .init(address: "10.0.0.8:6380", isOnline: false, lag: nil),
                    ], needsReplicas: true)
            ), ("role:master", nil),
        ] as [(String, Replication?)])
    func whereTheDataIsAsWell(text: String, replication: Replication?) {
        #expect(Replication(InfoFields(text)) == replication)
    }

    @Test func aServerIsAskedForAllOfIt() async throws {
        let configuration = ["maxmemory 100mb", "maxmemory-policy volatile-lru", "save 60 1"]
        try await RedisServer.run(.init(configuration: configuration)) { server in
            let client = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { client.close() }
            let condition = try await Directory(client).condition()
            #expect(condition.identity?.product == "redis")
            #expect(condition.identity?.mode == "standalone")
            let eviction = try #require(condition.eviction)
            #expect(eviction.maximumMemory == 100 * 1_048_576)
            #expect(eviction.policy == .expiring("volatile-lru"))
            #expect(eviction.evictedKeys == 0)
            #expect(1..<100 * 1_048_576 ~= eviction.usedMemory ?? 0)
            #expect(condition.persistence == .init(appendsOnly: false, snapshots: "60 1"))
            #expect(condition.replication == .init(replicas: [], needsReplicas: false))
            #expect(condition.roundTrip > .zero)
            // Nobody has named the database by that.
            #expect(try await Directory(client).databaseID() == nil)
        }
    }

    /// Managed servers and careful operators permit little: what is left is told.
    @Test func whatItDoesNotTellIsLeftOut() async throws {
        let users = ["few on >secret ~* +hello +auth +eval +evalsha +script|load +time +get +set +info|persistence"]
        try await RedisServer.run(.init(users: users)) { server in
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), username: "few", password: "secret")
            let client = try await RedisClient.connect(to: endpoint)
            defer { client.close() }
            let condition = try await Directory(client).condition()
            #expect(condition.identity?.mode == "standalone")
            #expect(condition.eviction == nil)
            #expect(condition.replication == nil)
            // It tells of the file, and not of snapshots.
            #expect(condition.persistence == .init(appendsOnly: false))
        }
    }

    /// Redis 7.0 has no WAITAOF, and without an append-only file it is an error: nothing is known then.
    @Test(arguments: [true, false]) func aServerWithoutTheCommandDoesNotTellOfItsDisk(persists: Bool) async throws {
        try await RedisServer.run(.init(persists: persists)) { server in
            let client = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { client.close() }
            let version = try await client.identity().version ?? ""
            let reach = try await Directory(client).reach(within: 1)
            #expect(reach.replicas == nil)
            #expect(reach.isOnDisk == nil || persists && !version.hasPrefix("7.0"))
        }
    }
}
