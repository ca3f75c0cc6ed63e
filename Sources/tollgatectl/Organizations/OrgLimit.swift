// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgLimit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit",
        abstract: "Give an organization other numbers than its plan or the configuration.",
        discussion: """
            For policies per org, and per key for all its keys that have none of their own. They hold from the next request \
            on. policy=default removes one. A bucket that is empty stays so: it says which, and what fills it.

            EXAMPLES:
              tollgatectl org limit acme org=100/10s:200 monthly=5000/month streams=8
              tollgatectl org limit acme org=default
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @OptionGroup var limits: LimitArguments
    @Flag(help: "Print JSON: org, limits.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis { session in
            try await limits.check(for: .organization, session)
            let overrides = try await session.directory.setLimits(limits.edits, of: name)
            if json {
                try Output.json([("org", .string(name.text)), ("limits", overrides.json)])
            } else {
                try Output.line("Own limits of organization \(name.text): \(overrides.text)")
            }
            try await EmptyBuckets(subject: .organization(name), edits: limits.edits).warn(session)
        }
    }
}
