// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct OrgLimit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit",
        abstract: "Give an organization other numbers than its plan or the configuration.",
        discussion: """
            For policies per org, and per key for all its keys that have none of their own. They hold from the next request \
            on. policy=default removes one.

            EXAMPLES:
              tollgatectl org limit acme org=100/10s:200 monthly=5000/month streams=8
              tollgatectl org limit acme org=default
            """)

    @Argument(help: "Its name.", transform: organization)
    var name: OrganizationID
    @Argument(
        help: ArgumentHelp("search=100/10s, monthly=5000/month, streams=8.", valueName: "policy=limit"),
        transform: limitEdit)
    var limits: [LimitEdit]
    @Flag(help: "Print JSON: org, limits.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        try LimitCheck(edits: limits, owner: .organization).validate()
    }

    func run() async throws {
        try await connection.withRedis { session in
            try await LimitCheck(edits: limits, owner: .organization).check(session)
            let overrides = try await session.directory.setLimits(limits, of: name)
            if json { return try Output.json([("org", .string(name.text)), ("limits", overrides.json)]) }
            try Output.line("Own limits of organization \(name.text): \(overrides.text)")
        }
    }
}
