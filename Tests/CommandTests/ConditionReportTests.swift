// SPDX-License-Identifier: Apache-2.0

import Directory
import Endpoints
import Redis
import Testing

@testable import tollgatectl

@Suite struct ConditionReportTests {
    typealias Persistence = ServerCondition.Persistence
    typealias Replication = ServerCondition.Replication

    private static func line(
        _ heading: String, timeout: Duration = .milliseconds(250), trip: Duration = .milliseconds(1),
        _ adjust: (inout ServerCondition) -> Void = { _ in }
    ) -> String {
        var condition = ServerCondition(roundTrip: trip)
        adjust(&condition)
        let report = ConditionReport(condition, at: "unix:/r", timeout: timeout)
        return report.cells.first { $0.0 == heading }?.1.text ?? ""
    }

    private static func eviction(
        _ policy: String, used: Int = 3 * 1_048_576 / 2, of most: Int = 100 * 1_048_576, evicted: Int = 0
    ) -> Eviction {
        var eviction = Eviction()
        (eviction.usedMemory, eviction.maximumMemory) = (used, most)
        (eviction.policy, eviction.evictedKeys) = (EvictionPolicy(policy), evicted)
        return eviction
    }

    private static func untold(_ command: String) -> String {
        "-: unknown, the user may not ask \(command); permit it (deploy/redis/users.acl), or ask somebody who may"
    }

    @Test(
        arguments: [
            (eviction("noeviction"), "1.5 MiB used of 100.0 MiB, noeviction: good"),
            (
                eviction("noeviction", used: 91 * 1_048_576),
                "91.0 MiB used of 100.0 MiB, noeviction: careful, no key can be issued when it is full; raise maxmemory"
            ),
            (
                eviction("noeviction", of: 0),
                "1.5 MiB used, no maxmemory, noeviction: careful, the system ends a Redis that takes all memory; set maxmemory"
            ),
            (
                eviction("volatile-lru"),
                "1.5 MiB used of 100.0 MiB, volatile-lru: careful, idle buckets start full when it is full; set "
                    + "maxmemory-policy noeviction"
            ),
            (
                eviction("volatile-lru", of: 0),
                "1.5 MiB used, no maxmemory, volatile-lru: careful, the system ends a Redis that takes all memory; set maxmemory"
            ),
            (
                eviction("allkeys-lru", of: 0),
                "1.5 MiB used, no maxmemory, allkeys-lru: bad, keys and revocations vanish when it is full; set "
                    + "maxmemory-policy noeviction"
            ), (nil, untold("INFO memory")),
        ] as [(Eviction?, String)])
    func memory(eviction: Eviction?, text: String) {
        #expect(Self.line("Memory") { $0.eviction = eviction } == text)
    }

    @Test(
        arguments: [
            (eviction("noeviction"), "0: good"),
            (
                eviction("noeviction", evicted: 12),
                "12: bad, taken away since the server started; give it more memory, and compare key list with what you issued"
            ), (nil, untold("INFO stats")),
        ] as [(Eviction?, String)])
    func evictedKeys(eviction: Eviction?, text: String) {
        #expect(Self.line("Evicted keys") { $0.eviction = eviction } == text)
    }

    @Test(
        arguments: [
            (Persistence(appendsOnly: true), "append-only file: good"),
            (
                Persistence(appendsOnly: false, snapshots: ""),
                "none: bad, a restart forgets every key; set appendonly yes"
            ),
            (
                Persistence(appendsOnly: false, snapshots: "3600 1"),
                "snapshots (save 3600 1): careful, a crash forgets what came after the last one; set appendonly yes"
            ),
            (
                Persistence(appendsOnly: false),
                "no append-only file: unknown, the user may not ask CONFIG GET save; without snapshots a restart forgets every "
                    + "key: set appendonly yes"
            ),
            (
                Persistence(appendsOnly: true, hasFailed: true),
                "append-only file: bad, the last write to the disk has failed; see Redis' own log"
            ), (nil, untold("INFO persistence")),
        ] as [(Persistence?, String)])
    func persistence(persistence: Persistence?, text: String) {
        #expect(Self.line("Persistence") { $0.persistence = persistence } == text)
    }

    private static let near = Replication.Replica(address: "10.0.0.7:6379", isOnline: true, lag: 1)
    private static let far = Replication.Replica(address: "10.0.0.8:6379", isOnline: true, lag: 11)
    private static let new = Replication.Replica(address: "10.0.0.9:6379", isOnline: false, lag: nil)

    @Test(
        arguments: [
            (Replication(replicas: [], needsReplicas: false), "none: good"),
            (Replication(replicas: [near], needsReplicas: true), "10.0.0.7:6379 1 s behind: good"),
            (
                Replication(replicas: [near], needsReplicas: false),
                "10.0.0.7:6379 1 s behind: careful, a split network has two primaries that take writes; set "
                    + "min-replicas-to-write 1"
            ),
            (
                Replication(replicas: [near, far], needsReplicas: true),
                "10.0.0.7:6379 1 s behind, 10.0.0.8:6379 11 s behind: careful, a failover now would undo changes; look at the "
                    + "replicas"
            ),
            (
                Replication(replicas: [new], needsReplicas: true),
                "10.0.0.9:6379 not in sync: careful, a failover now would undo changes; look at the replicas"
            ), (nil, untold("INFO replication")),
        ] as [(Replication?, String)])
    func replicas(replication: Replication?, text: String) {
        #expect(Self.line("Replicas") { $0.replication = replication } == text)
    }

    @Test(arguments: [
        (Duration.microseconds(1_240), "1.2 ms, redis.timeout 250 ms: good"),
        (.microseconds(62_500), "62.5 ms, redis.timeout 250 ms: good"),
        (
            .microseconds(62_600),
            "62.6 ms, redis.timeout 250 ms: careful, a busy moment makes it too late for requests; set redis.timeout to "
                + "251ms or more, or run sidecars nearer to Redis"
        ),
    ])
    func roundTrip(trip: Duration, text: String) {
        #expect(Self.line("Round trip", trip: trip) == text)
    }

    /// What a server calls itself may be anything.
    @Test func aServerThatTellsNothing() {
        let advice = "the user may not ask HELLO; permit it (deploy/redis/users.acl), or ask somebody who may"
        #expect(Self.line("Server") == "at unix:/r: unknown, \(advice)")
    }

    @Test func programsGetNumbersAndTheSameJudgement() {
        var condition = ServerCondition(roundTrip: .microseconds(1_240))
        condition.eviction = Self.eviction("allkeys-lru", evicted: 3)
        condition.persistence = .init(appendsOnly: false, snapshots: "")
        condition.replication = .init(replicas: [Self.near], needsReplicas: true)
        let json = JSON.object(ConditionReport(condition, at: "unix:/r", timeout: .seconds(1)).json).text
        for part in [
            #""memory":{"used_bytes":1572864,"max_bytes":104857600,"policy":"allkeys-lru","judgement":"bad","#,
            #""evicted_keys":{"count":3,"judgement":"bad","#,
            #""persistence":{"appendonly":false,"save":"","last_write_ok":true,"judgement":"bad","#,
            #""replicas":{"count":1,"list":[{"address":"10.0.0.7:6379","online":true,"lag_seconds":1}],"writes_need_replicas":true,"judgement":"good","advice":null}"#,
            #""round_trip":{"microseconds":1240,"timeout_microseconds":1000000,"judgement":"good","advice":null}"#,
            #""server":{"address":"unix:/r","product":null,"version":null,"mode":null,"judgement":"unknown","#,
        ] {
            #expect(json.contains(part), "\(json)")
        }
    }

    // MARK: Sentinels

    @Test func aSentinelThatWasAskedAMomentAgoIsNotSilent() {
        let text = Self.primary(named: ["10.0.0.5", "10.0.0.5"], waiting: ["s9"])
        #expect(text.hasSuffix("named by 2 of 3 sentinels: good"))
    }

    private static let address = ServerAddress(host: "10.0.0.5", port: 6379)

    /// - Parameter named: by each sentinel; nil: it doesn't answer.
    /// - Parameter waiting: who was asked a moment ago.
    private static func primary(named: [String?], waiting: [String] = []) -> String {
        let sentinels =
            named.enumerated().map { index, host in
                TopologyReport.Sentinel(
                    address: ServerAddress(host: "s\(index)", port: 26379), isConfigured: true,
                    primary: host.map { Primary(at: ServerAddress(host: $0, port: 6379), epoch: 3) },
                    holdsItDown: false,
                    failure: host == nil ? "connection refused" : nil)
            }
            + waiting.map {
                TopologyReport.Sentinel(
                    address: ServerAddress(host: $0, port: 26379), isConfigured: false, primary: nil,
                    holdsItDown: false,
                    failure: nil)
            }
        let topology = TopologyReport(primary: Primary(at: address, epoch: 3), sentinels: sentinels)
        let report = ConditionReport(
            ServerCondition(roundTrip: .milliseconds(1)), at: "redis+sentinel://s0/m/0", topology: topology,
            timeout: .milliseconds(250))
        return report.cells.first { $0.0 == "Primary" }?.1.text ?? ""
    }

    @Test(
        arguments: [
            (["10.0.0.5", "10.0.0.5", "10.0.0.5"], "named by 3 of 3 sentinels: good"),
            (
                ["10.0.0.5", "10.0.0.5", nil],
                "named by 2 of 3 sentinels: careful, a sentinel does not answer; without a majority of them there is no failover"
            ),
            (
                ["10.0.0.5", "10.0.0.5", "10.0.0.6"],
                "named by 2 of 3 sentinels: careful, sentinels name different primaries; wait for the failover, or look at their configuration"
            ),
            (
                ["10.0.0.5", "10.0.0.5"],
                "named by 2 of 2 sentinels: careful, with fewer than 3 sentinels the loss of one host may end failover; run three"
            ),
        ] as [([String?], String)])
    func tellsThePrimaryAndWhoNamesIt(named: [String?], text: String) {
        #expect(Self.primary(named: named) == "10.0.0.5:6379 (epoch 3), \(text)")
    }

    @Test func tellsNoPrimaryWithoutSentinels() {
        #expect(Self.line("Primary") == "")
    }
}
