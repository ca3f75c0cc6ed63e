// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct PlanList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the plans.",
        discussion: """
            EXAMPLES:
              tollgatectl plan list
              tollgatectl plan list --json | jq -r .plan
            """)

    @Flag(help: "Print JSON, one object a line, as plan show does.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        var listing = Listing(
            [.init(heading: "PLAN"), .init(heading: "LIMITS", mayShrink: true), .init(heading: "CHANGED")], isJSON: json
        )
        try await connection.withDirectory(to: .show) { directory in
            var seen: Set<PlanName> = []
            var cursor: String? = "0"
            while let current = cursor {
                let (page, next) = try await directory.plans(after: current)
                for plan in page where seen.insert(plan.name).inserted {
                    try listing.append(
                        sortKey: plan.name.text,
                        cells: [
                            Table.Cell(plan.name.text), Table.Cell(plan.overrides.text),
                            Table.Cell(plan.changedAt.map(Moment.day) ?? "-"),
                        ], json: plan.json)
                }
                cursor = next
            }
            try listing.end(otherwise: "No plans yet. Next: tollgatectl plan set NAME org=100/10s")
        }
    }
}
