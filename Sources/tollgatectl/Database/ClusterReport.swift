// SPDX-License-Identifier: Apache-2.0

import Directory
import Octets
import Redis

/// What `database show` tells of a cluster: the cluster itself, and each of its primaries as of a server.
struct ClusterReport {
    private let findings: [ConditionReport.Finding]
    private let primaries: [(condition: ClusterCondition.Primary, report: ConditionReport)]

    /// - Parameter timeout: `redis.timeout` of the sidecars.
    init(_ cluster: ClusterCondition, timeout: Duration) {
        findings = [Self.coverage(cluster), Self.guards(cluster.guards, cluster.guardsFault)]
        primaries = cluster.primaries.map { primary in
            switch primary.condition {
            case .success(let condition):
                (
                    primary,
                    ConditionReport(
                        condition, ofPrimaryAt: "\(primary.address)", with: Self.words(primary.slots), timeout: timeout)
                )
            case .failure(let error): (primary, ConditionReport(Self.silence(primary, error)))
            }
        }
    }

    var cells: [(String, Table.Cell)] {
        findings.map { ($0.heading, $0.cell) } + primaries.flatMap(\.report.cells)
    }

    var json: [(String, JSON)] {
        findings.map { ($0.name, $0.json) } + [
            (
                "primaries",
                .array(
                    primaries.map { primary, report in
                        .object(
                            [
                                ("address", .string("\(primary.address)")),
                                ("slots", .string(Self.text(primary.slots))),
                            ] + report.json)
                    })
            )
        ]
    }

    // MARK: Each of them

    private static func coverage(_ cluster: ClusterCondition) -> ConditionReport.Finding {
        let silent = cluster.primaries.count { if case .failure = $0.condition { true } else { false } }
        let (judgement, advice): (ConditionReport.Judgement, String?) =
            if cluster.unowned > 0 {
                (
                    .bad,
                    "\("hash slot".counted(cluster.unowned)) have no primary; bring it back, or see redis-cli --cluster fix"
                )
            } else if silent > 0 {
                (.bad, "\(primaries(silent)) can't be reached; callers of theirs are answered without Redis")
            } else {
                switch cluster.needsFullCoverage {
                case true?:
                    (
                        .careful,
                        "while one primary is away all others refuse commands; set cluster-require-full-coverage no"
                    )
                case false?: (.good, nil)
                case nil:
                    (
                        .unknown,
                        "the user may not ask CONFIG GET cluster-require-full-coverage; look with redis-cli that it is no, else one "
                            + "primary that is away stops all others"
                    )
                }
            }
        return ConditionReport.Finding(
            heading: "Cluster",
            text: "\(primaries(cluster.primaries.count)), \(slots - cluster.unowned) of \(slots) hash slots",
            name: "cluster",
            members: [
                ("primaries", .integer(cluster.primaries.count)), ("slots", .integer(slots - cluster.unowned)),
                ("requires_full_coverage", cluster.needsFullCoverage.map(JSON.bool) ?? .null),
            ], judgement: judgement, advice: advice)
    }

    private static func guards(_ guards: DatabaseGuards?, _ fault: RedisError?) -> ConditionReport.Finding {
        let (judgement, advice): (ConditionReport.Judgement, String?) =
            switch guards {
            case nil:
                (
                    .unknown,
                    fault.map { "they can't be read: \($0)".printable } ?? "they can't be read while a primary is away"
                )
            case let guards? where guards.id == nil && !guards.isGuarded && guards.shown.allSatisfy({ $0 == nil }):
                (.unknown, "nobody has worked with the database")
            case let guards? where guards.amiss == 0: (.good, nil)
            case let guards? where !guards.isGuarded && guards.shown.allSatisfy({ $0 == nil || $0 == guards.id }):
                (.careful, "they are not all written yet; the next key or organization that is made writes them")
            case let guards?:
                (
                    .bad,
                    "a primary has lost its keys, or has those of another database; restore it, or, so that sidecars work with it "
                        + "as it is: tollgatectl database adopt \(guards.id?.printable ?? "ID")"
                )
            }
        let count = guards?.shown.count ?? 0
        return ConditionReport.Finding(
            heading: "Guards", text: guards.map { "\(count - $0.amiss) of \(count) have the database's id" } ?? "-",
            name: "guards",
            members: [
                ("count", JSON(guards.map(\.shown.count))), ("amiss", JSON(guards?.amiss)),
                ("complete", guards.map { .bool($0.isGuarded) } ?? .null),
            ], judgement: judgement, advice: advice)
    }

    private static func silence(_ primary: ClusterCondition.Primary, _ error: RedisError) -> ConditionReport.Finding {
        ConditionReport.Finding(
            heading: "Primary", text: "\(primary.address), \(words(primary.slots))", name: "server",
            members: [("error", .string("\(error)".printable))], judgement: .bad, advice: "\(error)".printable)
    }

    // MARK: Words

    private static let slots = Int(HashSlot.count)
    private static let mostRanges = 8

    private static func primaries(_ number: Int) -> String {
        number == 1 ? "1 primary" : "\(number) primaries"
    }

    private static func words(_ slots: [ClosedRange<Int>]) -> String {
        "hash slots \(text(slots, atMost: mostRanges))"
    }

    /// `0-5460,9000`
    private static func text(_ ranges: [ClosedRange<Int>], atMost most: Int = .max) -> String {
        ranges.prefix(most).map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",") + (ranges.count > most ? ",…" : "")
    }
}
