// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOPosix
import TLS
import TestSupport
import Testing

@testable import Redis

/// The watch by two real nodes of a cluster, each with half of the slots.
@Suite(.timeLimit(.minutes(3))) struct ClusterWatchTests {
    private struct Pair {
        let first: RedisServer
        let second: RedisServer

        var servers: [RedisServer] { [first, second] }

        func endpoint(_ server: RedisServer) throws -> RedisEndpoint {
            RedisEndpoint(.cluster(ClusterSeeds(hosts: [try address(of: server)])))
        }

        func address(of server: RedisServer) throws -> ServerAddress {
            ServerAddress(host: "127.0.0.1", port: try #require(server.tcpPort))
        }

        /// The second one takes a slot of the first one's, with a higher epoch: as after a failover.
        func take(_ slot: Int) async throws {
            let (from, to) = (try await first.cli("CLUSTER", "MYID"), try await second.cli("CLUSTER", "MYID"))
            #expect(try await second.cli("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", from) == "OK")
            #expect(try await second.cli("CLUSTER", "SETSLOT", "\(slot)", "NODE", to) == "OK")
        }
    }

    private func pair(_ body: (Pair) async throws -> Void) async throws {
        let options = RedisServer.Options(
            tcp: true, isCluster: true,
            configuration: ["cluster-require-full-coverage no", "cluster-node-timeout 60000"])
        try await RedisServer.run(options) { first in
            try await RedisServer.run(options) { second in
                for (server, slots, epoch) in [(first, ["0", "8191"], "1"), (second, ["8192", "16383"], "2")] {
                    #expect(try await server.cli("CLUSTER", "SET-CONFIG-EPOCH", epoch) == "OK")
                    #expect(try await server.cli(["CLUSTER", "ADDSLOTSRANGE"] + slots) == "OK")
                }
                let bus = try await second.cli("CONFIG", "GET", "cluster-port").split(separator: "\n").last
                let port = try #require(second.tcpPort)
                #expect(try await first.cli("CLUSTER", "MEET", "127.0.0.1", "\(port)", "\(try #require(bus))") == "OK")
                for server in [first, second] {
                    try await until("each node knows the other") {
                        let text = try await server.cli("CLUSTER", "INFO")
                        return text.contains("cluster_state:ok") && text.contains("cluster_slots_assigned:16384")
                    }
                }
                try await body(Pair(first: first, second: second))
            }
        }
    }

    private func until(_ what: String, _ isSo: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while try await !isSo() {
            guard ContinuousClock.now < end else {
                Issue.record("not yet: \(what)")
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func watched(
        _ endpoint: RedisEndpoint, _ body: (ClusterWatch, RecordedLog) async throws -> Void
    ) async throws {
        let log = RecordedLog()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let (watch, follower) = try #require(
            ClusterWatch.follow(endpoint, on: loop, logger: log.logger) { log.logger.debug("looked") })
        #expect(ClusterWatch.running(for: endpoint) === watch)
        do {
            try await body(watch, log)
        } catch {
            watch.leave(follower)
            throw error
        }
        watch.leave(follower)
        #expect(ClusterWatch.running(for: endpoint) == nil)
    }

    /// How often it was asked for the map.
    private func questions(to server: RedisServer) async throws -> Int {
        let text = try await server.cli("INFO", "commandstats")
        return text.firstMatch(of: /cmdstat_cluster\|nodes:calls=(\d+)/).flatMap { Int($0.1) } ?? 0
    }

    private func slot(_ number: Int) throws -> HashSlot { try #require(HashSlot(number: number)) }

    private func map(of watch: ClusterWatch) throws -> ClusterMap { try #require(try watch.answer?.get()) }

    @Test func followsWhereSlotsGo() async throws {
        try await pair { pair in
            let addresses = try pair.servers.map(pair.address)
            try await watched(pair.endpoint(pair.first)) { watch, log in
                try await until("there is a map") { watch.answer != nil }
                let map = try map(of: watch)
                #expect(map.primaries == addresses)
                #expect(map.isWhole)
                #expect(map.epoch == 2)
                #expect(try await ClusterWatch.find(try pair.endpoint(pair.first)) == map)
                let shown = "redis.epoch=2 redis.primaries=\(addresses[0]),\(addresses[1])"
                try await until("it is told") {
                    log.lines.contains("info the cluster tells where its slots are \(shown)")
                        && log.lines.contains("debug looked")
                }
                try await pair.take(100)
                try await until("the slot is the other's") {
                    watch.doubt()
                    return try self.map(of: watch).owns(addresses[1], try slot(100))
                }
                #expect(try self.map(of: watch).owns(addresses[0], try slot(101)))
            }
        }
    }

    @Test func aFrozenNodeHidesNothing() async throws {
        try await pair { pair in
            let addresses = try pair.servers.map(pair.address)
            try await watched(pair.endpoint(pair.first)) { watch, _ in
                try await until("there is a map") { watch.answer != nil }
                // The only seed, and who has told last.
                try await pair.first.freeze()
                try await until("the other one was asked") {
                    watch.doubt()
                    return try await questions(to: pair.second) > 0
                }
                #expect(try self.map(of: watch).primaries == addresses)
                // It comes back, and is asked by another connection than the one that was given up.
                try await pair.first.thaw()
                try await pair.second.freeze()
                let before = try await questions(to: pair.first)
                try await until("the first one is asked again, and again") {
                    watch.doubt()
                    return try await questions(to: pair.first) > before + 3
                }
                try await pair.second.thaw()
            }
        }
    }

    @Test func theMapOutlivesItsNodes() async throws {
        try await pair { pair in
            let addresses = try pair.servers.map(pair.address)
            try await watched(pair.endpoint(pair.second)) { watch, log in
                try await until("there is a map") { watch.answer != nil }
                for server in pair.servers { try await server.kill() }
                watch.doubt()
                try await until("nobody answers") {
                    log.lines.contains { $0.hasPrefix("warning no node of the cluster answers: going on with") }
                }
                #expect(try map(of: watch).primaries == addresses)
                for server in pair.servers { try await server.start() }
                let back = "notice the cluster tells again where its slots are redis.nodes=\(addresses[1])"
                try await until("it is told") { log.lines.contains(back) }
                #expect(try map(of: watch).primaries == addresses)
                #expect(log.lines.filter { $0.hasPrefix("warning") }.count == 1)
            }
        }
    }

    @Test func aClusterIsFoundOrToldWhyNot() async throws {
        try await pair { pair in
            let map = try await ClusterWatch.find(try pair.endpoint(pair.second))
            #expect(map.primaries == (try pair.servers.map(pair.address)))
            #expect(ClusterWatch.running(for: try pair.endpoint(pair.second)) == nil)
        }
        try await RedisServer.run(.init(tcp: true)) { server in
            let address = ServerAddress(host: "127.0.0.1", port: try #require(server.tcpPort))
            let endpoint = RedisEndpoint(.cluster(ClusterSeeds(hosts: [address])))
            await #expect(throws: RedisError.unfit(.noCluster)) { try await ClusterWatch.find(endpoint) }
        }
        try await UnusedPort.lend { port in
            let address = ServerAddress(host: "127.0.0.1", port: port)
            let endpoint = RedisEndpoint(.cluster(ClusterSeeds(hosts: [address])))
            await #expect(throws: RedisError.notConnected("\(address): connection refused")) {
                try await ClusterWatch.find(endpoint)
            }
        }
        try await RedisServer.run(.init(tcp: true, password: "secret", isCluster: true)) { server in
            let address = ServerAddress(host: "127.0.0.1", port: try #require(server.tcpPort))
            var endpoint = RedisEndpoint(.cluster(ClusterSeeds(hosts: [address])))
            let refused = await #expect(throws: RedisError.self) { try await ClusterWatch.find(endpoint) }
            #expect(refused?.fault == .credentials)
            endpoint.password = "secret"
            let nothing =
                "no node tells where the cluster's slots are (\(address): it knows of nobody who has a hash slot)"
            await #expect(throws: RedisError.unfit(.noMap(nothing))) { try await ClusterWatch.find(endpoint) }
            #expect(try await server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "OK")
            #expect(try await ClusterWatch.find(endpoint).primaries == [address])
        }
    }

    /// Who may not ask `CLUSTER SHARDS` asks as before Redis 7, and knows no epochs.
    @Test func slotsAreAskedWhereShardsMayNotBe() async throws {
        let user = "app on >secret ~* +hello +cluster|slots"
        try await RedisServer.run(.init(tcp: true, users: [user], isCluster: true)) { server in
            #expect(try await server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "OK")
            let address = ServerAddress(host: "127.0.0.1", port: try #require(server.tcpPort))
            let endpoint = RedisEndpoint(
                .cluster(ClusterSeeds(hosts: [address])), username: "app", password: "secret")
            let map = try await ClusterWatch.find(endpoint)
            #expect(map.primaries == [address])
            #expect(map.isWhole)
        }
    }

    @Test func allOfAProcessFollowByOne() async throws {
        try await UnusedPort.lend { try await followByOne(ServerAddress(host: "127.0.0.1", port: $0)) }
    }

    private func followByOne(_ address: ServerAddress) async throws {
        let endpoint = RedisEndpoint(.cluster(ClusterSeeds(hosts: [address])))
        try await watched(endpoint) { watch, log in
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let followed = ClusterWatch.follow(endpoint, on: loop, logger: log.logger) {}
            let other = try #require(followed)
            #expect(other.watch === watch)
            try await until("it is told why there is no map") {
                watch.answer == .failure(.notConnected("\(address): connection refused"))
            }
            other.watch.leave(other.follower)
            #expect(ClusterWatch.running(for: endpoint) === watch)
            var secured = endpoint
            secured.security = ServerTrust()
            #expect(ClusterWatch.running(for: secured) == nil)
        }
    }

    @Test func onlyAClusterIsFollowed() throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for url in ["redis://h", "unix:/r.sock", "redis+sentinel://h/m"] {
            let endpoint = try RedisEndpoint(parsing: url)
            #expect(ClusterWatch.follow(endpoint, on: loop, logger: RecordedLog().logger, look: {}) == nil)
            #expect(ClusterWatch.running(for: endpoint) == nil)
        }
    }
}
