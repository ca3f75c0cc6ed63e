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
        let createdAt = try await connection.withDirectory { try await $0.createOrganization(name) }
        if json {
            printJSON([("org", name.text), ("created_at", Timestamp.text(createdAt))])
        } else {
            print("Organization \(name.text) created. Next: tollgatectl key issue --org \(name.text) --name laptop")
        }
    }
}

/// Of an argument or option that names an organization.
func organization(_ text: String) throws -> OrganizationID {
    guard let name = OrganizationID(text) else {
        throw ValidationError("expected 1 to 40 of a-z, 0-9, _ and -, got '\(text)'")
    }
    return name
}
