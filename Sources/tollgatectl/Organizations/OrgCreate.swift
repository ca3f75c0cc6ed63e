// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create an organization.",
        discussion: """
            EXAMPLES:
              tollgatectl org create acme
              tollgatectl org create acme --plan pro --max-active-keys 20
            """)

    @Argument(help: "1 to 40 of a-z, 0-9, _ and -.", transform: organization)
    var name: OrganizationID
    @Option(help: "The plan it is on.", transform: planName)
    var plan: PlanName?
    @Option(
        help: ArgumentHelp(
            "Keys that it may have at a time; what the configuration says, where nothing is said.", valueName: "count"),
        transform: KeyCount.init(parsing:))
    var maxActiveKeys: KeyCount?
    @Flag(help: "Print JSON: org, created_at.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis { session in
            let createdAt = try await session.directory.createOrganization(
                name, plan: plan, maximumActiveKeys: maxActiveKeys?.number)
            await session.warnOfOtherNamespaces()
            if json {
                try Output.json([("org", .string(name.text)), ("created_at", .string(Timestamp.text(createdAt)))])
            } else {
                try Output.line(
                    "Organization \(name.text) created. Next: tollgatectl key issue --org \(name.text) --name laptop")
            }
        }
    }
}

/// Of an argument or option that names an organization.
func organization(_ text: String) throws -> OrganizationID {
    guard let name = OrganizationID(text) else {
        let guess = OrganizationID(text.lowercased()).map { " (did you mean \($0.text)?)" } ?? ""
        throw ValidationError("expected 1 to 40 of a-z, 0-9, _ and -\(guess)")
    }
    return name
}
