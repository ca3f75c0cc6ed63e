// SPDX-License-Identifier: Apache-2.0

import Directory
import Endpoints
import Redis
import Testing

@testable import tollgatectl

@Suite struct ClusterReportTests {
    private static let id = "5f2b8c0e9d4a4b7f8e6d1c2b3a495867"

    private static func cluster(
        _ adjust: (inout ClusterCondition) -> Void = { _ in }
    ) -> ClusterCondition {
        let slots = [[0...5460], [5461...9999, 10_001...10_001], [10_000...10_000, 10_002...16_383]]
        var cluster = ClusterCondition(
            primaries: slots.enumerated().map { index, slots in
                .init(
                    address: ServerAddress(host: "10.0.0.\(index)", port: 6379), slots: slots,
                    condition: .success(ServerCondition(roundTrip: .milliseconds(1))))
            }, needsFullCoverage: false,
            guards: DatabaseGuards(id: id, shown: Array(repeating: id, count: 64), isGuarded: true))
        adjust(&cluster)
        return cluster
    }

    private static func line(_ heading: String, _ adjust: (inout ClusterCondition) -> Void = { _ in }) -> String {
        let report = ClusterReport(cluster(adjust), timeout: .milliseconds(250))
        return report.cells.first { $0.0 == heading }?.1.text ?? ""
    }

    @Test func tellsOfEachPrimary() {
        let report = ClusterReport(Self.cluster(), timeout: .milliseconds(250))
        let server = ["  Memory", "  Evicted keys", "  Persistence", "  Replicas", "  Round trip"]
        let primary = ["Primary"] + server
        #expect(report.cells.map(\.0) == ["Cluster", "Guards"] + primary + primary + primary)
        let places = report.cells.filter { $0.0 == "Primary" }.map { $0.1.text.prefix { $0 != ":" } }
        #expect(places == ["at 10.0.0.0", "at 10.0.0.1", "at 10.0.0.2"])
        #expect(report.cells[8].1.text.contains("hash slots 5461-9999,10001"))
        #expect(report.cells[3].1.text.contains("-: unknown"))
    }

    @Test func tellsOfTheCluster() {
        #expect(Self.line("Cluster") == "3 primaries, 16384 of 16384 hash slots: good")
        #expect(
            Self.line("Cluster") { $0.needsFullCoverage = true }
                == "3 primaries, 16384 of 16384 hash slots: careful, while one primary is away all others refuse commands; set "
                + "cluster-require-full-coverage no")
        #expect(
            Self.line("Cluster") { $0.unowned = 2 }
                == "3 primaries, 16382 of 16384 hash slots: bad, 2 hash slots have no primary; bring it back, or see redis-cli "
                + "--cluster fix")
        #expect(
            Self.line("Cluster") { $0.primaries[1].condition = .failure(.timeout) }
                == "3 primaries, 16384 of 16384 hash slots: bad, 1 primary can't be reached; callers of theirs are answered "
                + "without Redis")
        #expect(
            Self.line("Cluster") { $0.needsFullCoverage = nil }.contains(": unknown, the user may not ask CONFIG GET"))
        let silent = Self.line("Primary") { $0.primaries[0].condition = .failure(.timeout) }
        #expect(silent == "10.0.0.0:6379, hash slots 0-5460: bad, no reply in time")
    }

    @Test(arguments: [
        (0, 0, true, "64 of 64 have the database's id: good"),
        (
            3, 0, true,
            "61 of 64 have the database's id: bad, a primary has lost its keys, or has those of another database; restore it, "
                + "or, so that sidecars work with it as it is: tollgatectl database adopt \(id)"
        ),
        (
            3, 0, false,
            "61 of 64 have the database's id: careful, they are not all written yet; the next key or organization that is made "
                + "writes them"
        ),
        (
            3, 1, false,
            "60 of 64 have the database's id: bad, a primary has lost its keys, or has those of another database; restore it, "
                + "or, so that sidecars work with it as it is: tollgatectl database adopt \(id)"
        ),
    ]) func tellsOfTheGuards(missing: Int, foreign: Int, isGuarded: Bool, text: String) {
        let shown: [String?] =
            Array(repeating: nil, count: missing) + Array(repeating: "another", count: foreign)
            + Array(repeating: Self.id, count: 64 - missing - foreign)
        #expect(
            Self.line("Guards") { $0.guards = DatabaseGuards(id: Self.id, shown: shown, isGuarded: isGuarded) } == text)
    }

    @Test func guardsThatNobodyHasWritten() {
        let none = DatabaseGuards(id: nil, shown: Array(repeating: nil, count: 64), isGuarded: false)
        #expect(
            Self.line("Guards") { $0.guards = none }
                == "0 of 64 have the database's id: unknown, nobody has worked with the database")
        #expect(Self.line("Guards") { $0.guards = nil } == "-: unknown, they can't be read while a primary is away")
        #expect(
            Self.line("Guards") { ($0.guards, $0.guardsFault) = (nil, .server("NOPERM no permissions")) }
                == "-: unknown, they can't be read: NOPERM no permissions")
    }

    @Test func toPrograms() {
        let json = JSON.object(ClusterReport(Self.cluster(), timeout: .seconds(1)).json).text
        #expect(
            json.hasPrefix(
                #"{"cluster":{"primaries":3,"slots":16384,"requires_full_coverage":false,"judgement":"good","advice":null},"#
                    + #""guards":{"count":64,"amiss":0,"complete":true,"judgement":"good","advice":null},"#
                    + #""primaries":[{"address":"10.0.0.0:6379","slots":"0-5460","server":{"address":"10.0.0.0:6379","#)
        )
    }
}
