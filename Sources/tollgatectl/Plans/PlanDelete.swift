// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct PlanDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a plan that no organization is on.",
        discussion: """
            EXAMPLE:
              tollgatectl plan delete pro
            """)

    @Argument(help: "Its name.", transform: PlanName.init(argument:))
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
