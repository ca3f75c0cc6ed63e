// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser

struct OrgCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create an organization.",
        discussion: """
            EXAMPLE:
              tollgatectl org create acme
            """)

    @Argument(help: "1 to 40 of a-z, 0-9, _ and -.", transform: organization)
    var name: OrganizationID
    @Flag(help: "Print JSON: org, created_at.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            let createdAt = try await directory.createOrganization(name)
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
        throw ValidationError("expected 1 to 40 of a-z, 0-9, _ and -")
    }
    return name
}
