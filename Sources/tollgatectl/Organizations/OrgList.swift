// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the organizations.",
        discussion: """
            EXAMPLES:
              tollgatectl org list
              tollgatectl org list --json | jq -r .org
            """)

    @Flag(help: "Print JSON, one object a line, as org show does.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        var listing = Listing(
            [
                .init(heading: "ORGANIZATION", mayShrink: true), .init(heading: "STATUS"),
                .init(heading: "ACTIVE KEYS", isNumber: true), .init(heading: "ALL KEYS", isNumber: true),
                .init(heading: "CREATED"),
            ], isJSON: json)
        try await connection.withDirectory(to: .show) { directory in
            try await directory.forEachOrganization { organization in
                try listing.append(
                    sortKey: organization.id.text,
                    cells: [
                        Table.Cell(organization.id.text), organization.statusCell, "\(organization.activeKeys)",
                        "\(organization.allKeys)", Table.Cell(organization.createdAt.map(Moment.day) ?? "-"),
                    ], json: organization.json)
            }
            try listing.end(otherwise: "No organizations yet. Next: tollgatectl org create NAME")
        }
    }
}

extension Directory {
    /// Every organization once, in no order.
    func forEachOrganization(_ body: (OrganizationDescription) async throws -> Void) async throws {
        var seen = SeenOrganizations()
        var cursor: String? = "0"
        while let current = cursor {
            let (page, next) = try await organizations(after: current)
            for organization in page where seen.insert(organization.id) { try await body(organization) }
            cursor = next
        }
    }
}

extension OrganizationDescription {
    var statusCell: Table.Cell {
        isSuspended ? Table.Cell("suspended", .bad) : Table.Cell("active", .good)
    }

    var json: [(String, JSON)] {
        [
            ("org", .string(id.text)), ("status", .string(isSuspended ? "suspended" : "active")),
            ("plan", JSON(plan)), ("active_keys", .integer(activeKeys)), ("keys", .integer(allKeys)),
            ("max_active_keys", JSON(maximumActiveKeys)), ("limits", overrides.json),
            ("max_lifetime_seconds", JSON(maximumLifetime)), ("meta", JSON(meta: meta)),
            ("created_at", JSON(createdAt.map(Moment.text))),
        ]
    }
}

extension LimitOverrides {
    /// `search=100/10s other=5/m`; `-` where there are none.
    var text: String {
        allowances.isEmpty ? "-" : allowances.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ")
    }

    var json: JSON {
        .object(allowances.sorted { $0.key < $1.key }.map { ($0, .string($1.description)) })
    }
}
