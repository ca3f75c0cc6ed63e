// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct OrgShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show an organization.",
        discussion: """
            EXAMPLE:
              tollgatectl org show acme
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Flag(
        help: """
            Print JSON: org, status, plan, active_keys, keys, max_active_keys, limits, max_lifetime_seconds, meta, \
            created_at.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory(to: .show) { directory in
            let organization = try await directory.organization(name)
            if json { return try Output.json(organization.json) }
            let most = organization.maximumActiveKeys.map { ", at most \($0)" } ?? ""
            var fields = [
                ("Organization", Table.Cell(name.text)), ("Status", organization.statusCell),
                ("Active keys", "\(organization.activeKeys)\(most)"), ("All keys", "\(organization.allKeys)"),
                ("Plan", Table.Cell(organization.plan?.printable ?? "-")),
                ("Own limits", Table.Cell(organization.overrides.text)),
            ]
            if let longest = organization.maximumLifetime {
                fields.append(("Keys live", Table.Cell("at most \(Lifetime.text(longest))")))
            }
            if let meta = organization.meta { fields.append(("Meta", Table.Cell(meta))) }
            fields.append(("Created", Table.Cell(organization.createdAt.map(Moment.text) ?? "-")))
            try Output.fields(fields)
        }
    }
}
