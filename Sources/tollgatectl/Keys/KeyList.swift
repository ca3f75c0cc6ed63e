// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List keys, oldest first.",
        discussion: """
            EXAMPLES:
              tollgatectl key list --org acme
              tollgatectl key list --active --json | jq -r .id
              tollgatectl key list --unproven
            """)

    @Option(help: "Of this organization; of all where none is given.", transform: OrganizationID.init(argument:))
    var org: OrganizationID?
    @Flag(help: "Only those that hold now.")
    var active = false
    @Flag(help: "Only those that hold now and that sidecars with keys.check: require would refuse.")
    var unproven = false
    @Flag(help: "Print JSON, one object a line, as key show does.")
    var json = false
    @OptionGroup var checks: CheckFileOption
    @OptionGroup var connection: Connection

    func run() async throws {
        var listing = KeyListing(isJSON: json, isOrdered: org != nil)
        try await connection.withRedis { session in
            let directory = session.directory
            let secrets = unproven ? try await checks.secretIDs(session) : []
            let isWanted = { (key: KeyDescription) in
                guard key.status == .active else { return !active && !unproven }
                return !unproven || key.check.map { !secrets.contains($0) } ?? true
            }
            // Says so where there is no such organization.
            if let org { _ = try await directory.organization(org) }
            var pages = KeyPages(directory, of: org)
            while let page = try await pages.next() {
                for key in page where isWanted(key) { try listing.append(key) }
            }
            let command = "tollgatectl key issue --org \(org?.text ?? "NAME") --name laptop"
            try listing.end(
                otherwise: unproven
                    ? "No active key is unproven." : active ? "No active keys." : "No keys yet. Next: \(command)")
        }
    }
}

extension KeyDescription {
    var statusCell: Table.Cell {
        Table.Cell(status.rawValue, status == .active ? .good : .bad)
    }

    var json: [(String, JSON)] {
        [
            ("id", .string(id.text)), ("org", .string(id.organization.text)), ("name", .string(name)),
            ("user", JSON(user.isEmpty ? nil : user)), ("status", .string(status.rawValue)),
            ("subject", .string(subject)), ("limits", overrides.json), ("tools", toolsJSON),
            ("scopes", .array(scopes.tokens.sorted().map(JSON.string))),
            ("allow_from", .array(networks.text.split(separator: " ").map { .string(String($0)) })),
            ("created_at", JSON(createdAt.map(Moment.text))), ("not_before", JSON(notBefore.map(Moment.text))),
            ("expires_at", JSON(expiresAt.map(Moment.text))), ("ends_at", JSON(endsAt.map(Moment.text))),
            ("revoked_at", JSON(revokedAt.map(Moment.text))),
            ("rotated_to", JSON(rotatedTo?.text)), ("last_used_at", JSON(lastUsedAt.map(Moment.text))),
            ("check", JSON(check)), ("meta", JSON(meta: meta)),
        ]
    }

    /// When it ends; of one that works on although it was replaced, how soon.
    func endText(_ moment: (Int) -> String) -> String {
        guard let endsAt else { return "never" }
        guard let revokedAt, revokedAt > readAt, revokedAt == endsAt else { return moment(endsAt) }
        return "\(TimeText.lasting(seconds: endsAt - readAt)), replaced"
    }

    private var toolsJSON: JSON {
        .object([
            ("allow", .array(tools.allowed.map { .string($0.text) })),
            ("deny", .array(tools.denied.map { .string($0.text) })),
        ])
    }

    private var toolsText: String {
        // Of a record that can't be read, too.
        guard !tools.denied.contains(Glob("*")) else { return "none" }
        let allowed = tools.allowed.isEmpty ? "all" : tools.allowed.map(\.text).joined(separator: ", ")
        return tools.denied.isEmpty ? allowed : "\(allowed) but " + tools.denied.map(\.text).joined(separator: ", ")
    }

    var fields: [(String, Table.Cell)] {
        var fields: [(String, Table.Cell)] = [
            ("Key", Table.Cell(id.text)), ("Name", Table.Cell(name)), ("User", Table.Cell(user.isEmpty ? "-" : user)),
            ("Status", statusCell), ("Own limits", Table.Cell(overrides.text)),
            ("Created", Table.Cell(createdAt.map(Moment.text) ?? "-")),
            ("Expires", Table.Cell(endText(Moment.text))),
        ]
        if !tools.isUnrestricted { fields.append(("Tools", Table.Cell(toolsText))) }
        if !scopes.tokens.isEmpty { fields.append(("Scopes", Table.Cell(scopes.text))) }
        if !networks.isUnrestricted { fields.append(("Only from", Table.Cell(networks.text))) }
        if let notBefore { fields.append(("Holds from", Table.Cell(Moment.text(notBefore)))) }
        if let revokedAt {
            fields.append((revokedAt <= readAt ? "Revoked" : "Works until", Table.Cell(Moment.text(revokedAt))))
        }
        if let meta { fields.append(("Meta", Table.Cell(meta))) }
        if let rotatedTo { fields.append(("Replaced by", Table.Cell(rotatedTo.text))) }
        if let lastUsedAt { fields.append(("Last used", Table.Cell(Moment.text(lastUsedAt)))) }
        if subject != id.local { fields.append(("Counts as", Table.Cell("\(id.organization.text)/\(subject)"))) }
        return fields
    }
}
