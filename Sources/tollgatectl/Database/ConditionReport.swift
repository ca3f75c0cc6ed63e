// SPDX-License-Identifier: Apache-2.0

import Directory
import Octets
import Redis

/// What `database show` tells of a server: what there is, a word of judgement, and what to do about it.
struct ConditionReport {
    enum Judgement: String {
        case good
        /// It works, and a fault that will come one day costs more than it has to.
        case careful
        case bad
        case unknown

        fileprivate var style: Style {
            switch self {
            case .good: .good
            case .careful, .unknown: .plain
            case .bad: .bad
            }
        }
    }

    struct Finding {
        let heading: String
        /// What there is, for people.
        let text: String
        /// The same, for programs.
        let name: String
        let members: [(String, JSON)]
        let judgement: Judgement
        /// What it means and what to do; nil where there is nothing to do.
        let advice: String?

        var cell: Table.Cell {
            Table.Cell("\(text): \(judgement.rawValue)\(advice.map { ", \($0)" } ?? "")", judgement.style)
        }

        fileprivate var indented: Finding {
            Finding(
                heading: "  \(heading)", text: text, name: name, members: members, judgement: judgement, advice: advice)
        }

        var json: JSON {
            .object(members + [("judgement", .string(judgement.rawValue)), ("advice", JSON(advice))])
        }
    }

    let findings: [Finding]

    /// - Parameters:
    ///   - timeout: `redis.timeout` of the sidecars.
    ///   - address: without a password.
    ///   - topology: nil where no sentinels were asked.
    init(_ condition: ServerCondition, at address: String, topology: TopologyReport? = nil, timeout: Duration) {
        findings =
            [Self.server(condition.identity, at: address)] + (topology.map { [Self.primary($0)] } ?? []) + [
                Self.memory(condition.eviction),
                Self.evicted(condition.eviction), Self.persistence(condition.persistence),
                Self.replicas(condition.replication), Self.roundTrip(condition.roundTrip, timeout),
            ]
    }

    /// Of one primary of a cluster: the first line is about it, the others about what it has.
    ///
    /// - Parameter slots: that it owns, in words.
    init(_ condition: ServerCondition, ofPrimaryAt address: String, with slots: String, timeout: Duration) {
        findings =
            [Self.server(condition.identity, at: address, heading: "Primary", with: ", \(slots)")]
            + [
                Self.memory(condition.eviction), Self.evicted(condition.eviction),
                Self.persistence(condition.persistence), Self.replicas(condition.replication),
                Self.roundTrip(condition.roundTrip, timeout),
            ].map(\.indented)
    }

    /// Of what doesn't answer there is one thing to tell.
    init(_ finding: Finding) {
        findings = [finding]
    }

    var cells: [(String, Table.Cell)] { findings.map { ($0.heading, $0.cell) } }
    var json: [(String, JSON)] { findings.map { ($0.name, $0.json) } }

    // MARK: Each of them

    private static func server(
        _ identity: ServerIdentity?, at address: String, heading: String = "Server", with slots: String = ""
    ) -> Finding {
        let words = [identity?.product, identity?.version, identity?.mode].compactMap { $0?.printable }
        return Finding(
            heading: heading, text: (words.isEmpty ? "" : "\(words.joined(separator: " ")) ") + "at \(address)\(slots)",
            name: "server",
            members: [
                ("address", .string(address)), ("product", JSON(identity?.product)),
                ("version", JSON(identity?.version)),
                ("mode", JSON(identity?.mode)),
            ],
            judgement: words.isEmpty ? .unknown : .good, advice: words.isEmpty ? Self.untold("HELLO") : nil)
    }

    private static func primary(_ topology: TopologyReport) -> Finding {
        let (all, answering) = (topology.sentinels.count, topology.answering)
        // Who was asked a moment ago isn't silent.
        let silent = topology.sentinels.count { $0.failure != nil }
        let agreeing = topology.sentinels.count { $0.primary?.address == topology.primary?.address }
        let fewest = 3
        let (judgement, advice): (Judgement, String?) =
            if agreeing < answering {
                (.careful, "sentinels name different primaries; wait for the failover, or look at their configuration")
            } else if all < fewest {
                (.careful, "with fewer than \(fewest) sentinels the loss of one host may end failover; run three")
            } else if silent > 0 {
                (.careful, "a sentinel does not answer; without a majority of them there is no failover")
            } else {
                (.good, nil)
            }
        let name = topology.primary.map { "\($0.address) (epoch \($0.epoch))" } ?? "-"
        return Finding(
            heading: "Primary", text: "\(name), named by \(agreeing) of \("sentinel".counted(all))", name: "primary",
            members: [
                ("address", JSON(topology.primary.map { "\($0.address)" })), ("epoch", JSON(topology.primary?.epoch)),
                ("sentinels", .array(topology.sentinels.map(Self.json))),
            ], judgement: judgement, advice: advice)
    }

    private static func json(_ sentinel: TopologyReport.Sentinel) -> JSON {
        .object([
            ("address", .string("\(sentinel.address)")), ("names", JSON(sentinel.primary.map { "\($0.address)" })),
            ("epoch", JSON(sentinel.primary?.epoch)), ("down", .bool(sentinel.holdsItDown)),
            ("error", JSON(sentinel.failure?.printable)),
        ])
    }

    private static func memory(_ eviction: Eviction?) -> Finding {
        let (used, most) = (eviction?.usedMemory, eviction?.maximumMemory)
        let size = used.map {
            "\(mebibytes($0)) used" + (most.map { $0 == 0 ? ", no maxmemory" : " of \(mebibytes($0))" } ?? "")
        }
        let (judgement, advice) = judge(memory: eviction)
        return Finding(
            heading: "Memory",
            text: [size, eviction?.policy?.name.printable].compactMap(\.self).joined(separator: ", ").orDash,
            name: "memory",
            members: [
                ("used_bytes", JSON(used)), ("max_bytes", JSON(most)), ("policy", JSON(eviction?.policy?.name)),
            ],
            judgement: judgement, advice: advice)
    }

    private static func judge(memory eviction: Eviction?) -> (Judgement, String?) {
        let most = eviction?.maximumMemory ?? 0
        switch eviction?.policy {
        case nil: return (.unknown, untold("INFO memory"))
        case .any:
            return (
                .bad, "keys and revocations vanish when it is full; set maxmemory-policy noeviction"
            )
        case .expiring where most > 0:
            return (.careful, "idle buckets start full when it is full; set maxmemory-policy noeviction")
        case .nothing, .expiring:
            guard most > 0 else {
                return (.careful, "the system ends a Redis that takes all memory; set maxmemory")
            }
            // What is left may be gone within a day.
            guard let used = eviction?.usedMemory, used > most / 10 * 9 else { return (.good, nil) }
            return (.careful, "no key can be issued when it is full; raise maxmemory")
        }
    }

    private static func evicted(_ eviction: Eviction?) -> Finding {
        let (judgement, advice): (Judgement, String?) =
            switch eviction?.evictedKeys {
            case nil: (.unknown, untold("INFO stats"))
            case 0: (.good, nil)
            case .some:
                (
                    .bad,
                    "taken away since the server started; give it more memory, and compare key list with what you issued"
                )
            }
        return Finding(
            heading: "Evicted keys", text: eviction?.evictedKeys.map(String.init) ?? "-", name: "evicted_keys",
            members: [("count", JSON(eviction?.evictedKeys))], judgement: judgement, advice: advice)
    }

    private static func persistence(_ persistence: ServerCondition.Persistence?) -> Finding {
        let (text, judgement, advice): (String, Judgement, String?) =
            switch (persistence?.appendsOnly, persistence?.snapshots) {
            case (nil, _): ("-", .unknown, untold("INFO persistence"))
            case (true?, _): ("append-only file", .good, nil)
            case (false?, nil):
                (
                    "no append-only file", .unknown,
                    "the user may not ask CONFIG GET save; without snapshots a restart forgets every key: set appendonly yes"
                )
            case (false?, ""?): ("none", .bad, "a restart forgets every key; set appendonly yes")
            case (false?, let save?):
                (
                    "snapshots (save \(save.printable))", .careful,
                    "a crash forgets what came after the last one; set appendonly yes"
                )
            }
        let hasFailed = persistence?.hasFailed == true
        return Finding(
            heading: "Persistence", text: text, name: "persistence",
            members: [
                ("appendonly", persistence.map { .bool($0.appendsOnly) } ?? .null),
                ("save", JSON(persistence?.snapshots)),
                ("last_write_ok", persistence.map { .bool(!$0.hasFailed) } ?? .null),
            ],
            judgement: hasFailed ? .bad : judgement,
            advice: hasFailed ? "the last write to the disk has failed; see Redis' own log" : advice)
    }

    /// A replica writes each second that it is there.
    private static let longestLag = 10

    private static func replicas(_ replication: ServerCondition.Replication?) -> Finding {
        let replicas = replication?.replicas ?? []
        let texts = replicas.map { replica in
            "\(replica.address.printable) \(replica.isOnline ? "\(replica.lag ?? 0) s behind" : "not in sync")"
        }
        let (judgement, advice): (Judgement, String?) =
            if replication == nil {
                (.unknown, untold("INFO replication"))
            } else if replicas.contains(where: { !$0.isOnline || $0.lag ?? 0 > longestLag }) {
                (.careful, "a failover now would undo changes; look at the replicas")
            } else if !replicas.isEmpty, replication?.needsReplicas == false {
                (.careful, "a split network has two primaries that take writes; set min-replicas-to-write 1")
            } else {
                (.good, nil)
            }
        return Finding(
            heading: "Replicas",
            text: replication == nil ? "-" : texts.isEmpty ? "none" : texts.joined(separator: ", "),
            name: "replicas",
            members: [
                ("count", JSON(replication.map(\.replicas.count))),
                (
                    "list",
                    .array(
                        replicas.map {
                            .object([
                                ("address", .string($0.address)), ("online", .bool($0.isOnline)),
                                ("lag_seconds", JSON($0.lag)),
                            ])
                        })
                ), ("writes_need_replicas", replication.map { .bool($0.needsReplicas) } ?? .null),
            ],
            judgement: judgement, advice: advice)
    }

    private static func roundTrip(_ trip: Duration, _ timeout: Duration) -> Finding {
        let isLong = trip > timeout / 4
        return Finding(
            heading: "Round trip", text: "\(milliseconds(trip)) ms, redis.timeout \(milliseconds(timeout)) ms",
            name: "round_trip",
            members: [
                ("microseconds", .integer(trip.microseconds)), ("timeout_microseconds", .integer(timeout.microseconds)),
            ],
            judgement: isLong ? .careful : .good,
            advice: isLong
                ? "a busy moment makes it too late for requests; set redis.timeout to \(milliseconds(trip * 4, roundedUp: true))ms or more, or run sidecars nearer to Redis"
                : nil)
    }

    // MARK: Words

    private static func untold(_ command: String) -> String {
        "the user may not ask \(command); permit it (deploy/redis/users.acl), or ask somebody who may"
    }

    private static func mebibytes(_ octets: Int) -> String {
        let tenths = octets / 104_858 + (octets % 104_858 >= 52_429 ? 1 : 0)
        return "\(tenths / 10).\(tenths % 10) MiB"
    }

    private static func milliseconds(_ duration: Duration, roundedUp: Bool = false) -> String {
        let microseconds = duration.microseconds
        if roundedUp { return String((microseconds + 999) / 1_000) }
        let tenths = max(1, (microseconds + 50) / 100)
        return tenths.isMultiple(of: 10) ? String(tenths / 10) : "\(tenths / 10).\(tenths % 10)"
    }
}

extension Duration {
    fileprivate var microseconds: Int {
        Int(components.seconds) * 1_000_000 + Int(components.attoseconds / 1_000_000_000_000)
    }
}

extension String {
    fileprivate var orDash: String { isEmpty ? "-" : self }
}
