// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct PlanShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a plan, and who is on it.",
        discussion: """
            EXAMPLE:
              tollgatectl plan show pro
            """)

    @Argument(help: "Its name.", transform: PlanName.init(argument:))
    var name: PlanName
    @Flag(help: "Print JSON: plan, limits, created_at, changed_at, organizations.")
    var json = false
    @OptionGroup var connection: Connection

    /// Names that people are shown.
    private static let most = 20

    func run() async throws {
        try await connection.withDirectory(to: .show) { directory in
            let plan = try await directory.plan(name)
            let users = try await directory.organizations(on: name).map(\.text).sorted()
            if json {
                return try Output.json(plan.json + [("organizations", .array(users.map(JSON.string)))])
            }
            let shown = users.prefix(Self.most).joined(separator: ", ") + (users.count > Self.most ? ", …" : "")
            try Output.fields([
                ("Plan", Table.Cell(name.text)), ("Limits", Table.Cell(plan.overrides.text)),
                ("Created", Table.Cell(plan.createdAt.map(Moment.text) ?? "-")),
                ("Changed", Table.Cell(plan.changedAt.map(Moment.text) ?? "-")),
                ("Organizations", Table.Cell(users.isEmpty ? "none" : "\(users.count): \(shown)")),
            ])
        }
    }
}
