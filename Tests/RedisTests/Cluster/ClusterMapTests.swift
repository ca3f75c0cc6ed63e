// SPDX-License-Identifier: Apache-2.0

import Endpoints
import TestSupport
import Testing

@testable import Redis

@Suite struct ClusterMapTests {
    private static let asked = ServerAddress(host: "seed", port: 7000)

    private static func node(_ port: Int, _ host: String = "127.0.0.1") -> ServerAddress {
        ServerAddress(host: host, port: port)
    }

    private static func text(_ text: String) -> RedisReply { .bytes(Array(text.utf8)) }

    private static func map(
        _ shards: String, nodes: String? = nil, isSecured: Bool = false
    ) throws -> ClusterMap {
        try ClusterMap(
            shards: try ClusterReplies.reply(shards), nodes: nodes.map(text), of: asked, isSecured: isSecured)
    }

    private static func owner(_ map: ClusterMap, _ slot: Int) throws -> ServerAddress? {
        map.primary(of: try #require(HashSlot(number: slot)))
    }

    // MARK: What servers say

    @Test func readsShards() throws {
        let map = try Self.map(ClusterReplies.redis, nodes: ClusterReplies.redisNodes)
        #expect(map.epoch == 3)
        #expect(map.primaries == [Self.node(21_400), Self.node(21_401), Self.node(21_402)])
        #expect(map.isWhole)
        #expect(map.slotCounts == [5461, 5462, 5461])
        for (slot, port) in [
            (0, 21_400), (5460, 21_400), (5461, 21_401), (10_922, 21_401), (10_923, 21_402), (16_383, 21_402),
        ] {
            #expect(try Self.owner(map, slot) == Self.node(port))
            let number = try #require(HashSlot(number: slot))
            #expect(map.owns(Self.node(port), number))
            #expect(!map.owns(Self.node(21_403), number))
        }
    }

    @Test func aFailoverIsSeen() throws {
        let redis = try Self.map(ClusterReplies.redisFailedOver, nodes: ClusterReplies.redisFailedOverNodes)
        #expect(redis.epoch == 4)
        #expect(redis.primaries == [Self.node(21_400), Self.node(21_403), Self.node(21_402)])
        let valkey = try Self.map(ClusterReplies.valkeyFailedOver, nodes: ClusterReplies.valkeyFailedOverNodes)
        #expect(valkey.epoch == 4)
        #expect(valkey.primaries == [Self.node(21_500), Self.node(21_503), Self.node(21_502)])
        // Who has failed is passed over, whether the epochs are told or not.
        #expect(try Self.map(ClusterReplies.valkeyFailedOver).primaries == valkey.primaries)
    }

    @Test func whoHasFailedKeepsItsSlotsUntilAnotherHasThem() throws {
        let map = try Self.map(ClusterReplies.valkeyFailing)
        #expect(map.primaries == [Self.node(21_501)])
        #expect(!map.isWhole)
        #expect(try Self.owner(map, 5460) == nil)
        #expect(try Self.owner(map, 5461) == Self.node(21_501))
    }

    @Test func addressesAreThoseThatNodesPrefer() throws {
        let plain = try Self.map(ClusterReplies.redisNamed)
        #expect(plain.primaries == [Self.node(6379, "h1.example.net"), Self.node(6379, "10.0.0.2")])
        #expect(try Self.owner(plain, 150) == Self.node(6379, "10.0.0.2"))
        #expect(try Self.owner(plain, 200) == Self.node(6379, "h1.example.net"))
        let secured = try Self.map(ClusterReplies.redisNamed, isSecured: true)
        #expect(secured.primaries == [Self.node(6380, "h1.example.net"), Self.node(6380, "10.0.0.2")])
        #expect(
            try Self.map(ClusterReplies.redisUnnamed).primaries == [Self.node(6379, "seed"), Self.node(6380, "seed")])
        // Without TLS of their own: what stands before them has it.
        #expect(try Self.map(ClusterReplies.redis, isSecured: true).primaries.first == Self.node(21_400))
    }

    @Test func readsSlots() throws {
        let map = try ClusterMap(slots: try ClusterReplies.reply(ClusterReplies.slots), of: Self.asked)
        #expect(map.epoch == 0)
        #expect(map.primaries == [Self.node(21_400), Self.node(21_401), Self.node(21_402)])
        #expect(map.isWhole)
        let shards = try Self.map(ClusterReplies.redis)
        #expect(map == shards)
        let named = try ClusterMap(slots: try ClusterReplies.reply(ClusterReplies.slotsNamed), of: Self.asked)
        #expect(
            named.primaries == [
                Self.node(21_400, "h1.example.net"), Self.node(21_401, "127.0.0.2"), Self.node(21_402, "seed"),
            ])
    }

    @Test func aNodeAloneIsNoCluster() throws {
        #expect(throws: RedisError.unfit(.noMap("it knows of nobody who has a hash slot"))) {
            try Self.map(ClusterReplies.fresh)
        }
        #expect(throws: RedisError.unfit(.noMap("it knows of nobody who has a hash slot"))) {
            try ClusterMap(slots: .array([]), of: Self.asked)
        }
        let assigned = ClusterReplies.fresh.replacing("$5 slots *0", with: "$5 slots *2 :0 :16383")
        #expect(try Self.map(assigned).primaries == [Self.node(21_400, "seed")])
    }

    // MARK: Lies

    private static func shard(
        _ slots: String, host: String = "h1", port: String = ":6379", role: String = "master"
    ) -> String {
        """
        *4 $5 slots \(slots) $5 nodes *1 *8 $2 id $2 x1 $4 port \(port) $8 endpoint $\(host.utf8.count) \(host) $4 role
        $\(role.utf8.count) \(role)
        """
    }

    @Test(arguments: [
        "+OK", ":1", "$-1", "*1 :1", "*1 *0", "*1 *2 $5 slots *0", "*1 *2 $5 nodes *0",
        "*1 *4 $5 slots :1 $5 nodes *0", "*1 *4 $5 slots *0 $5 nodes :1",
        "*1 " + shard("*1 :0"), "*1 " + shard("*3 :0 :1 :2"), "*1 " + shard("*2 :0 :16384"),
        "*1 " + shard("*2 :-1 :5"), "*1 " + shard("*2 :6 :5"), "*1 " + shard("*2 $1 0 $1 5"),
        "*1 " + shard("*2 :0 :9223372036854775807"), "*1 " + shard("*2 :-9223372036854775808 :1"),
        // Twice: by one, and by another.
        "*1 " + shard("*4 :0 :10 :10 :20"), "*2 " + shard("*2 :0 :10") + " " + shard("*2 :5 :6", host: "h2"),
        "*2 " + shard("*2 :0 :10") + " " + shard("*2 :5 :6"),
        "*1 " + shard("*2 :0 :1", port: ":0"), "*1 " + shard("*2 :0 :1", port: ":65536"),
        "*1 " + shard("*2 :0 :1", port: ":-1"), "*1 " + shard("*2 :0 :1", port: "$4 6379"),
        "*1 " + shard("*2 :0 :1", port: "$-1"), "*1 " + shard("*2 :0 :1", host: "a/b"),
        "*1 " + shard("*2 :0 :1", host: "fe80:::"), "*1 " + shard("*2 :0 :1", host: "ü"),
        "*1 " + shard("*2 :0 :1", host: String(repeating: "h", count: 254)),
    ])
    func aLieIsRefused(reply: String) throws {
        let error = #expect(throws: RedisError.self) { try Self.map(reply) }
        guard case .protocolViolation? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(arguments: [
        "+OK", "*1 :1", "*1 *2 :0 :1", "*1 *3 :0 :1 :2", "*1 *3 :0 :1 *1 $2 h1", "*1 *3 :0 :16384 *2 $2 h1 :1",
        "*1 *3 :2 :1 *2 $2 h1 :1", "*1 *3 :-1 :1 *2 $2 h1 :1", "*1 *3 :0 :1 *2 $2 h1 :0", "*1 *3 :0 :1 *2 $3 a/b :1",
        "*1 *3 :0 :1 *2 $2 h1 :70000", "*2 *3 :0 :1 *2 $2 h1 :1 *3 :1 :2 *2 $2 h1 :1", "*1 *3 :0 :1 $2 h1",
    ])
    func aLieAboutSlotsIsRefused(reply: String) throws {
        let reply = try ClusterReplies.reply(reply)
        let error = #expect(throws: RedisError.self) { try ClusterMap(slots: reply, of: Self.asked) }
        guard case .protocolViolation? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    /// What a server says, with a few of its parts changed, left out or said twice: a map that holds together, or none.
    private static func twisted(_ reply: RedisReply, _ random: inout SplitMix) -> RedisReply {
        switch random.next(below: 60) {
        case 0: return .integer(Int64(truncatingIfNeeded: random.next()))
        case 1: return .integer(Int64(random.next(below: 20_000)) - 1000)
        case 2: return .bytes((0..<random.next(below: 5)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        case 3: return [.null, .status("OK"), .error("ERR no"), .array([])][random.next(below: 4)]
        default: break
        }
        guard case .array(var elements) = reply, !elements.isEmpty else { return reply }
        elements = elements.map { twisted($0, &random) }
        let place = random.next(below: elements.count)
        switch random.next(below: 20) {
        case 0: elements.remove(at: place)
        case 1: elements.insert(elements[place], at: 0)
        case 2: elements.swapAt(0, place)
        default: break
        }
        return .array(elements)
    }

    @Test func noTwistedReplyMisleads() throws {
        var random = SplitMix(seed: 20_261_129)
        let shards = try [ClusterReplies.redisFailedOver, ClusterReplies.valkeyFailedOver, ClusterReplies.redisNamed]
            .map(ClusterReplies.reply)
        let slots = try [ClusterReplies.slots, ClusterReplies.slotsNamed].map(ClusterReplies.reply)
        var (maps, refusals) = (0, 0)
        let rounds = Rounds.usually(2_000, long: 40_000)
        for round in 0..<rounds {
            let map: ClusterMap
            do throws(RedisError) {
                map =
                    round.isMultiple(of: 3)
                    ? try ClusterMap(slots: Self.twisted(slots[round % 2], &random), of: Self.asked)
                    : try ClusterMap(
                        shards: Self.twisted(shards[round % 3], &random),
                        nodes: Self.twisted(Self.text(ClusterReplies.redisFailedOverNodes), &random), of: Self.asked,
                        isSecured: round.isMultiple(of: 2))
            } catch {
                refusals += 1
                continue
            }
            maps += 1
            #expect(!map.primaries.isEmpty)
            #expect(Set(map.primaries).count == map.primaries.count)
            #expect(map.slotCounts.allSatisfy { $0 > 0 })
            #expect(map.slotCounts.reduce(0, +) <= 16_384)
            #expect(map.primaries.allSatisfy { ServerAddress(told: $0.host, port: "\($0.port)") == $0 })
        }
        #expect(maps > rounds / 20)
        #expect(refusals > rounds / 20)
    }

    @Test func noneIsTooLarge() throws {
        func shard(_ number: Int) -> RedisReply {
            .array([
                Self.text("slots"), .array([.integer(Int64(number)), .integer(Int64(number))]), Self.text("nodes"),
                .array([
                    .array([
                        Self.text("port"), .integer(Int64(1 + number)), Self.text("endpoint"), Self.text("h"),
                        Self.text("role"), Self.text("master"),
                    ])
                ]),
            ])
        }
        func map(_ count: Int) throws -> ClusterMap {
            try ClusterMap(shards: .array((0..<count).map(shard)), nodes: nil, of: Self.asked, isSecured: false)
        }
        #expect(try map(ClusterMap.mostPrimaries).primaries.count == 1000)
        #expect(throws: RedisError.protocolViolation("a cluster's node tells of more than 1000 primaries")) {
            try map(ClusterMap.mostPrimaries + 1)
        }
        // 100 000 that have no slot, and as many beside the one that has.
        let replica = RedisReply.array([Self.text("role"), Self.text("replica")])
        let crowd = RedisReply.array(Array(repeating: replica, count: 100_000))
        let idle = RedisReply.array([Self.text("slots"), .array([]), Self.text("nodes"), crowd])
        let empty = RedisReply.array([Self.text("slots"), .array([]), Self.text("nodes"), .array([])])
        let shards = [idle, shard(5)] + Array(repeating: empty, count: 100_000)
        let all = try ClusterMap(shards: .array(shards), nodes: nil, of: Self.asked, isSecured: false)
        #expect(all.primaries == [Self.node(6, "h")])
    }

    @Test(arguments: [
        ("", 0), ("\n\n", 0), ("x1", 0), ("x1 h - - 0 0", 0), ("x1 h - - 0 0 7", 7),
        ("x1 h - - 0 0 7 connected 0-1", 7),
        ("x1 h - - 0 0 -1 connected", 0), ("x1 h - - 0 0 x connected", 0), ("x1 h - - 0 0 9007199254740993 c", 0),
        ("x1 h - - 0 0 9007199254740992 c", 9_007_199_254_740_992), ("x2 h - - 0 0 7 c\nx1 h - - 0 0 3 c", 3),
        ("x2 h - - 0 0 7 c", 0),
    ])
    func onlyOwnersHaveEpochs(nodes: String, epoch: Int) throws {
        #expect(try Self.map("*1 " + Self.shard("*2 :0 :1"), nodes: nodes).epoch == epoch)
    }

    @Test func ofTwoPrimariesTheLaterOneHasTheSlots() throws {
        func member(_ id: String, _ port: Int, _ health: String) -> String {
            "*8 $2 id $2 \(id) $4 port :\(port) $4 role $6 master $6 health $\(health.utf8.count) \(health)"
        }
        func owner(_ members: String, _ nodes: String?) throws -> Int? {
            try Self.map("*1 *4 $5 slots *2 :0 :16383 $5 nodes *2 \(members)", nodes: nodes).primaries.first?.port
        }
        let (first, second) = (member("x1", 1, "online"), member("x2", 2, "online"))
        #expect(try owner("\(first) \(second)", nil) == 1)
        #expect(try owner("\(first) \(second)", "x1 h - - 0 0 3 c\nx2 h - - 0 0 4 c") == 2)
        #expect(try owner("\(member("x1", 1, "fail")) \(second)", nil) == 2)
        #expect(try owner("\(second) \(member("x1", 1, "fail"))", "x1 h - - 0 0 4 c\nx2 h - - 0 0 3 c") == 1)
    }

    // MARK: Patches

    @Test func whatHasMovedIsPatched() throws {
        let map = try Self.map(ClusterReplies.redis, nodes: ClusterReplies.redisNodes)
        let slot = try #require(HashSlot(number: 5000))
        let (other, new) = (Self.node(21_402), Self.node(9, "new"))
        let patched = map.patched(by: .moved(slot, to: other))
        #expect(patched.primary(of: slot) == other)
        #expect(patched.primaries == map.primaries)
        #expect(patched.epoch == map.epoch)
        #expect(patched != map)
        #expect(patched.patched(by: .moved(slot, to: Self.node(21_400))) == map)
        let grown = map.patched(by: .moved(slot, to: new))
        #expect(grown.primary(of: slot) == new)
        #expect(Set(grown.primaries) == Set(map.primaries + [new]))
        #expect(map.patched(by: .moved(slot, to: Self.node(21_400))) == map)
        for redirection in [Redirection.ask(slot, to: new), .tryAgain, .down] {
            #expect(map.patched(by: redirection) == map)
        }
    }

    /// Compared with a plain table.
    @Test func patchesAddUp() throws {
        var random = SplitMix(seed: 7)
        let nodes = (0..<5).map { Self.node(1 + $0, "h") }
        var draft = ClusterMap.Draft()
        try draft.give(0...9, to: nodes[0])
        var map = draft.map(epoch: 1)
        var table = [Int: ServerAddress](uniqueKeysWithValues: (0...9).map { ($0, nodes[0]) })
        for _ in 0..<2_000 {
            let (number, node) = (random.next(below: 40), nodes[random.next(below: 5)])
            table[number] = node
            map = map.patched(by: .moved(try #require(HashSlot(number: number)), to: node))
            #expect(Set(map.primaries) == Set(table.values))
            #expect(map.primaries.count == Set(table.values).count)
            #expect(map.slotCounts == map.primaries.map { primary in table.values.count { $0 == primary } })
        }
        for number in 0..<50 {
            #expect(try Self.owner(map, number) == table[number])
            let place = map.place(of: try #require(HashSlot(number: number)))
            #expect(place.map { map.primaries[$0] } == table[number])
        }
        #expect(!map.isWhole)
    }
}
