// SPDX-License-Identifier: Apache-2.0

import Admin
import Endpoints
import NIOConcurrencyHelpers
import Octets
import Proxy
import Redis
import Telemetry
import TestSupport
import Testing

@testable import Directory
@testable import tollgate

@Suite struct EvictionWatchTests {
    private static func eviction(_ policy: String, of maximum: Int = 1_000, evicted: Int = 0) -> Eviction {
        var eviction = Eviction()
        (eviction.policy, eviction.maximumMemory, eviction.evictedKeys) = (EvictionPolicy(policy), maximum, evicted)
        return eviction
    }

    private static func total(_ watch: EvictionWatch) -> [MetricFamily.Value] { watch.family.samples.map(\.value) }

    private static let any =
        "error redis evicts keys where its memory is full: credentials, revocations and counts vanish"
    private static let expiring = "warning redis evicts buckets where its memory is full: idle buckets start full"
    private static let over = "notice redis evicts no keys any more"

    /// What is heard one after the other, and what is said of it.
    @Test(arguments: [
        (["noeviction", "noeviction"], []),
        (["allkeys-lru", "allkeys-lru", "noeviction"], ["\(any) policy=allkeys-lru", over]),
        (["volatile-ttl", "volatile-ttl"], ["\(expiring) policy=volatile-ttl"]),
        (
            ["volatile-lru", "allkeys-random", "volatile-lru"],
            ["\(expiring) policy=volatile-lru", "\(any) policy=allkeys-random", "\(expiring) policy=volatile-lru"]
        ),
        // One that nobody knows yet may take anything.
        (["adaptive"], ["\(any) policy=adaptive"]),
    ])
    func aPolicyIsToldWhenItChanges(policies: [String], lines: [String]) {
        let log = RecordedLog()
        let watch = EvictionWatch(logger: log.logger)
        for policy in policies { watch.hear(Self.eviction(policy)) }
        #expect(log.lines == lines)
        #expect((watch.cause?.reason == "eviction") == lines.last?.hasPrefix(Self.any) ?? false)
    }

    /// `volatile-*` comes to nothing then; managed servers have a bound that they don't tell, and take anything.
    @Test(arguments: [("volatile-lru", false), ("allkeys-lru", true)])
    func withoutABound(policy: String, isTold: Bool) {
        let log = RecordedLog()
        let watch = EvictionWatch(logger: log.logger)
        watch.hear(Self.eviction(policy, of: 0))
        #expect(log.lines.isEmpty != isTold)
    }

    /// A server's own count, which begins anew with it; what was before the first answer may be of any time.
    @Test func whatWasEvictedIsCountedOnce() {
        let log = RecordedLog()
        let watch = EvictionWatch(logger: log.logger)
        let totals = [7, 7, 10, 2, 2].map { evicted in
            watch.hear(Self.eviction("volatile-lru", evicted: evicted))
            return Self.total(watch)
        }
        #expect(totals == [[.count(0)], [.count(0)], [.count(3)], [.count(5)], [.count(5)]])
        let line = "error redis has evicted keys: credentials, revocations and counts may be among them"
        #expect(log.lines.dropFirst() == ["\(line) keys=3 policy=volatile-lru", "\(line) keys=2 policy=volatile-lru"])
    }

    @Test func itIsAskedEachMinuteAndOfAnotherServerAtOnce() async throws {
        try await RedisServer.run { server in
            let client = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { client.close() }
            let (start, elapsed) = (ContinuousClock.now, NIOLockedValueBox(Duration.zero))
            let log = RecordedLog()
            let watch = EvictionWatch(logger: log.logger) { start + elapsed.withLockedValue { $0 } }
            func set(_ policy: String) async throws {
                _ = try await client.send("CONFIG", "SET", "maxmemory-policy", policy)
                await watch.look(by: client)
            }
            try await set("noeviction")
            #expect(watch.cause == nil)
            elapsed.withLockedValue { $0 = .milliseconds(59_999) }
            try await set("allkeys-lfu")
            #expect(watch.cause == nil)
            elapsed.withLockedValue { $0 = .seconds(60) }
            try await set("allkeys-lfu")
            let cause = try #require(watch.cause)
            #expect(
                cause.detail
                    == "Redis takes away keys where its memory is full (maxmemory-policy allkeys-lfu). Set noeviction.")
            #expect(cause.since != nil)
            watch.expectAnother()
            try await set("noeviction")
            #expect(watch.cause == nil)
            #expect(log.lines == ["\(Self.any) policy=allkeys-lfu", Self.over])
        }
    }

    /// One that is away may be the one that was worse.
    @Test func theWorstNodeOfAClusterCounts() async throws {
        try await RedisCluster.run { cluster in
            let client = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url))
            defer { client.close() }
            let log = RecordedLog()
            let watch = EvictionWatch(logger: log.logger)
            func look() async {
                watch.expectAnother()
                await watch.look(by: client)
            }
            await look()
            #expect(watch.cause == nil)
            _ = try await cluster.nodes[1].cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            await look()
            #expect(watch.cause?.reason == "eviction")
            try await cluster.nodes[1].kill()
            await look()
            #expect(watch.cause?.reason == "eviction")
            try await cluster.nodes[1].start()
            try await cluster.settle()
            await look()
            #expect(watch.cause == nil)
            #expect(log.lines == ["\(Self.any) policy=allkeys-lru", Self.over])
        }
    }

    /// Nothing is known of such a server, and no operator can do anything about it by being told each minute.
    @Test func aServerThatDoesNotTellIsDebug() async throws {
        let users = ["few on >secret ~* +hello +auth"]
        try await RedisServer.run(.init(users: users)) { server in
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), username: "few", password: "secret")
            let client = try await RedisClient.connect(to: endpoint)
            defer { client.close() }
            let log = RecordedLog()
            let watch = EvictionWatch(logger: log.logger)
            for _ in 0..<2 {
                await watch.look(by: client)
                watch.expectAnother()
            }
            #expect(log.lines.count == 1)
            #expect(log.lines.first?.hasPrefix("debug redis doesn't tell what it evicts error=NOPERM ") == true)
            #expect(watch.cause == nil)
        }
    }

    /// Whatever else is wrong goes first: it is what requests meet with.
    @Test func whoIsReadyAndLosesDataIsDegraded() async throws {
        let cause = Readiness.Cause("eviction", "Set noeviction.")
        for (availability, expected) in [(.ready, .degraded(cause)), (.routesUnknown, nil)]
            as [(ProxyService.Availability, Readiness?)]
        {
            let service = DataPlaneService(logger: .silent, weakness: { cause }) {
                DataPlane(
                    addresses: { [] }, activity: { ProxyService.Activity(availability) }, reopenLog: {},
                    reload: { _, ready in try await ready() }, drain: {})
            }
            #expect(await service.readiness == .starting)
            try await service.start()
            #expect(await service.readiness == expected ?? Readiness(availability))
        }
    }
}
