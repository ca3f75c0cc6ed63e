// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgPlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Put an organization on a plan, or on none.",
        discussion: """
            EXAMPLES:
              tollgatectl org plan acme pro
              tollgatectl org plan acme --none
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Argument(help: "A plan's name.", transform: PlanName.init(argument:))
    var plan: PlanName?
    @Flag(help: "On none.")
    var none = false
    @Flag(help: "Print JSON: org, plan.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard (plan == nil) == none else { throw ValidationError("give a plan, or else --none") }
    }

    func run() async throws {
        try await connection.withDirectory { directory in
            try await directory.setPlan(plan, of: name)
            if json { return try Output.json([("org", .string(name.text)), ("plan", JSON(plan?.text))]) }
            try Output.line("Organization \(name.text) is on \(plan.map { "plan \($0.text)" } ?? "no plan") now.")
        }
    }
}
