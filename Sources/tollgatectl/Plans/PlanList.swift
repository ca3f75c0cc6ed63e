// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser

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
        try await connection.withDirectory { directory in
            var seen: Set<PlanName> = []
            var cursor: String? = "0"
            while let current = cursor {
                let (page, next) = try await directory.plans(after: current)
                for plan in page where seen.insert(plan.name).inserted {
                    try listing.append(
                        Listing.Row(
                            sortKey: plan.name.text,
                            cells: [
                                Table.Cell(plan.name.text), Table.Cell(plan.overrides.text),
                                Table.Cell(plan.changedAt.map(Timestamp.day) ?? "-"),
                            ], json: plan.json))
                }
                cursor = next
            }
            try listing.end(otherwise: "No plans yet. Next: tollgatectl plan set NAME org=100/10s")
        }
    }
}

struct PlanShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a plan, and who is on it.",
        discussion: """
            EXAMPLE:
              tollgatectl plan show pro
            """)

    @Argument(help: "Its name.", transform: planName)
    var name: PlanName
    @Flag(help: "Print JSON: plan, limits, created_at, changed_at, organizations.")
    var json = false
    @OptionGroup var connection: Connection

    /// Names that people are shown.
    private static let most = 20

    func run() async throws {
        try await connection.withDirectory { directory in
            let plan = try await directory.plan(name)
            let users = try await directory.organizations(on: name).map(\.text).sorted()
            if json {
                return try Output.json(plan.json + [("organizations", .array(users.map(JSON.string)))])
            }
            let shown = users.prefix(Self.most).joined(separator: ", ") + (users.count > Self.most ? ", …" : "")
            try Output.fields([
                ("Plan", Table.Cell(name.text)), ("Limits", Table.Cell(plan.overrides.text)),
                ("Created", Table.Cell(plan.createdAt.map(Timestamp.text) ?? "-")),
                ("Changed", Table.Cell(plan.changedAt.map(Timestamp.text) ?? "-")),
                ("Organizations", Table.Cell(users.isEmpty ? "none" : "\(users.count): \(shown)")),
            ])
        }
    }
}

struct PlanDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a plan that no organization is on.",
        discussion: """
            EXAMPLE:
              tollgatectl plan delete pro
            """)

    @Argument(help: "Its name.", transform: planName)
    var name: PlanName
    @Flag(help: "Print JSON: plan.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            try await directory.deletePlan(name, usedBy: try await directory.organizations(on: name))
            if json { return try Output.json([("plan", .string(name.text))]) }
            try Output.line("Plan \(name.text) deleted.")
        }
    }
}
