// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete an organization with all its keys, limits, usage and audit trail.",
        discussion: """
            None of its keys works from the beginning on. What is interrupted is done again by the same command.

            EXAMPLES:
              tollgatectl org delete acme
              tollgatectl org delete acme --yes
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(help: "Print JSON: org, keys (how many it had).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            if !yes {
                let keys = "key".counted(try await directory.organization(name).allKeys)
                try Prompt.confirm(
                    "Delete organization \(name.text) with \(keys), its usage and its audit trail, for good?",
                    doing: "organization \(name.text) with \(keys) would be deleted",
                    otherwise: "nothing was deleted")
            }
            let keys = try await directory.deleteOrganization(name)
            if json { return try Output.json([("org", .string(name.text)), ("keys", .integer(keys))]) }
            try Output.line("Organization \(name.text) deleted, and its \("key".counted(keys)).")
        }
    }
}
