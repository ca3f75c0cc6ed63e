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
              tollgatectl org create acme --max-lifetime 90d --meta '{"tier":"gold"}'
            """)

    @Argument(help: "1 to 40 of a-z, 0-9, _ and -.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Option(help: "The plan it is on.", transform: PlanName.init(argument:))
    var plan: PlanName?
    @Option(
        help: ArgumentHelp(
            "Keys that it may have at a time; what the configuration says, where nothing is said.", valueName: "count"),
        transform: KeyCount.init(parsing:))
    var maxActiveKeys: KeyCount?
    @Option(
        help: ArgumentHelp(
            "How long its keys may live, such as 90d: those without an earlier expiry get it, longer ones are refused.",
            valueName: "time"),
        transform: Lifetime.init(parsing:))
    var maxLifetime: Lifetime?
    @OptionGroup var noted: MetaOption
    @Flag(help: "Print JSON: org, created_at.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis { session in
            let createdAt = try await session.directory.createOrganization(
                name, plan: plan,
                OrganizationSettings(
                    maximumActiveKeys: maxActiveKeys?.setting, maximumLifetime: maxLifetime?.setting, meta: noted.meta))
            await session.warnOfOtherNamespaces()
            if json {
                try Output.json([("org", .string(name.text)), ("created_at", .string(Moment.text(createdAt)))])
            } else {
                try Output.line(
                    "Organization \(name.text) created. Next: tollgatectl key issue --org \(name.text) --name laptop")
            }
        }
    }
}
