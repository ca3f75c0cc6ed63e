// SPDX-License-Identifier: Apache-2.0

import Endpoints
import TestSupport
import Testing

@testable import Redis

@Suite struct ClusterClientTests {
    private static let echo = RedisScript(name: "echo", source: "#!lua flags=no-writes\nreturn {KEYS[1], ARGV[1]}")
    private static let both = RedisScript(
        name: "both", source: "#!lua\nreturn {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}")

    private func connected<Value>(
        to cluster: RedisCluster, patience: Duration = .zero, _ body: (RedisClient) async throws -> Value
    ) async throws -> Value {
        let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url), patience: patience)
        defer { redis.close() }
        return try await body(redis)
    }

    private func command(_ words: String...) -> RedisCommand {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return command
    }

    /// Of all nodes, the errors they have answered with.
    private func errors(_ cluster: RedisCluster) async throws -> Set<String> {
        var codes: Set<String> = []
        for node in cluster.nodes {
            let text = try await node.cli("INFO", "errorstats")
            codes.formUnion(text.matches(of: /errorstat_([A-Z]+)/).map { String($0.1) })
        }
        return codes
    }

    @Test func eachCommandGoesToItsNode() async throws {
        try await RedisCluster.run { cluster in
            for node in cluster.nodes { _ = try await node.cli("CONFIG", "RESETSTAT") }
            try await connected(to: cluster) { redis in
                let set = await redis.send((0..<300).map { command("SET", "k\($0)", "\($0)") })
                #expect(try set.allSatisfy { try $0.get() == .status("OK") })
                let got = await redis.send((0..<300).map { command("GET", "k\($0)") })
                #expect(try got.map { try $0.get().text } == (0..<300).map { "\($0)" })
                for key in ["{a}x", "{b}x", "{c}x"] {
                    let reply = try await redis.evaluate(Self.echo, keys: [key], arguments: ["1"])
                    #expect(reply.array?.map(\.text) == [key, "1"])
                }
                #expect(try await redis.send("PING") == .status("PONG"))
                var sizes: [Int] = []
                for primary in redis.primaries { sizes.append(Int(try await primary.send("DBSIZE").integer ?? 0)) }
                #expect(sizes.count == 3)
                #expect(sizes.reduce(0, +) == 300)
                #expect(sizes.allSatisfy { $0 > 50 })
                #expect(try await redis.used().count == 3)
            }
            #expect(try await errors(cluster) == [])
        }
    }

    /// A client that knows the cluster as it was.
    @Test func aSlotThatHasMovedIsFollowed() async throws {
        try await RedisCluster.run { cluster in
            try await connected(to: cluster) { redis in
                _ = try await redis.send("SET", "k", "1")
                let owner = try await cluster.owner(of: "k")
                let target = try #require(cluster.nodes.first { $0 !== owner })
                try await cluster.move(try await cluster.slot(of: "k"), from: owner, to: target)
                #expect(try await redis.send("GET", "k").text == "1")
                #expect(try await errors(cluster).contains("MOVED"))
                // It knows now.
                _ = try await owner.cli("CONFIG", "RESETSTAT")
                #expect(try await redis.send("GET", "k").text == "1")
                #expect(try await owner.cli("INFO", "errorstats").contains("MOVED") == false)
            }
        }
    }

    @Test func aSlotThatIsMovingIsAskedAboutOnBothSides() async throws {
        try await RedisCluster.run { cluster in
            try await connected(to: cluster) { redis in
                for key in ["{k}a", "{k}b"] { _ = try await redis.send("SET", key, key) }
                let owner = try await cluster.owner(of: "k")
                let target = try #require(cluster.nodes.first { $0 !== owner })
                let slot = try await cluster.slot(of: "k")
                try await cluster.beginMove(slot, from: owner, to: target)
                try await cluster.carry(["{k}a"], of: slot, from: owner, to: target)
                #expect(try await redis.send("GET", "{k}a").text == "{k}a")
                #expect(try await redis.evaluate(Self.echo, keys: ["{k}a"], arguments: [""]).array?.count == 2)
                #expect(try await errors(cluster).contains("ASK"))
                // Neither has both: whoever asks for both waits.
                async let pair = redis.evaluate(Self.both, keys: ["{k}a", "{k}b"], arguments: [])
                while try await !errors(cluster).contains("TRYAGAIN") {
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await cluster.carry(of: slot, from: owner, to: target)
                try await cluster.endMove(slot, from: owner, to: target)
                #expect(try await pair.array?.map(\.text) == ["{k}a", "{k}b"])
            }
        }
    }

    @Test func aDeadPrimaryCostsItsOwnSlots() async throws {
        try await RedisCluster.run { cluster in
            try await connected(to: cluster) { redis in
                let keys = (0..<60).map { "k\($0)" }
                for result in await redis.send(keys.map { command("SET", $0, "1") }) { _ = try result.get() }
                var owners: [RedisServer] = []
                for key in keys { owners.append(try await cluster.owner(of: key)) }
                let dead = owners[0]
                try await dead.kill()
                var lost = 0
                for (owner, result) in zip(owners, await redis.send(keys.map { command("GET", $0) })) {
                    if owner === dead {
                        lost += 1
                        #expect(throws: RedisError.self) { try result.get() }
                    } else {
                        #expect(try result.get().text == "1")
                    }
                }
                #expect(1..<60 ~= lost)
                for _ in 0..<9 { #expect(try await redis.send("PING") == .status("PONG")) }
                let failure = await #expect(throws: RedisError.self) { try await redis.send("GET", "k0") }
                guard case .unfit(.failingOver)? = failure else {
                    Issue.record("\(failure.map { "\($0)" } ?? "none")")
                    return
                }
                // What was written there nobody can be asked about.
                await #expect(throws: RedisError.self) { try await redis.used() }
            }
        }
    }

    @Test func aPrimaryIsWaitedForWithPatience() async throws {
        try await RedisCluster.run { cluster in
            let owner = try await cluster.owner(of: "k")
            try await connected(to: cluster, patience: .seconds(60)) { redis in
                try await owner.kill()
                async let late = redis.send("SET", "k", "1")
                try await Task.sleep(for: .milliseconds(300))
                try await owner.start()
                #expect(try await late == .status("OK"))
            }
        }
    }

    @Test func aClientThatIsClosedSaysSo() async throws {
        try await RedisCluster.run { cluster in
            let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url))
            #expect(try await redis.send("PING") == .status("PONG"))
            redis.close()
            await #expect(throws: RedisError.shutdown) { try await redis.send("PING") }
        }
    }
}
