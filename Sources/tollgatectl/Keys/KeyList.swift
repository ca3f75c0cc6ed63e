// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List keys, oldest first.",
        discussion: """
            Several conditions are all to be met. KEY shows how a key that was issued here begins, and its id; nothing of it is \
            known besides. On a narrow terminal KEY and LAST USED are left out.

            EXAMPLES:
              tollgatectl key list --org acme
              tollgatectl key list --active --json | jq -r .id
              tollgatectl key list --expiring 30d --sort expires
              tollgatectl key list --unused 90d --where 'name=ci-*'
              tollgatectl key list --sort used --most 20
              tollgatectl key list --unproven
            """)

    @Option(help: "Of this organization; of all where none is given.", transform: OrganizationID.init(argument:))
    var org: OrganizationID?
    @Flag(help: "Only those that hold now.")
    var active = false
    @Option(
        help: ArgumentHelp(
            "Only those that are active, revoked, expired, not-yet-valid, suspended or unreadable. Repeatable.",
            valueName: "status"),
        transform: KeyDescription.Status.init(argument:))
    var status: [KeyDescription.Status] = []
    @Option(help: "Only those of this user.", transform: label)
    var user: String?
    @Option(
        help: ArgumentHelp("Only those that end within this time: 30d.", valueName: "time"), transform: KeySpan.init)
    var expiring: KeySpan?
    @Option(
        help: ArgumentHelp(
            "Only those that hold now, and were neither used nor made for this time: 90d.", valueName: "time"),
        transform: KeySpan.init)
    var unused: KeySpan?
    @OptionGroup var conditions: KeyConditions
    @Flag(help: "Only those that hold now and that sidecars with keys.check: require would refuse.")
    var unproven = false
    @Option(
        help: ArgumentHelp(
            "By created, expires, used (never and longest ago first), name, user or id; the first 10000, or those of --most.",
            valueName: "field"),
        transform: KeySort.init(argument:))
    var sort: KeySort?
    @Flag(help: "The other way round; with --sort.")
    var reverse = false
    @Option(
        help: ArgumentHelp("Show so many at most, up to 100000.", valueName: "count"), transform: mostKeys)
    var most: Int?
    @Flag(help: "Print JSON, one object a line, as key show does.")
    var json = false
    @OptionGroup var checks: CheckFileOption
    @OptionGroup var connection: Connection

    /// Where nobody says.
    private static let mostSorted = 10_000

    func validate() throws {
        guard !reverse || sort != nil else { throw ValidationError("--reverse: give --sort too") }
    }

    func run() async throws {
        try await connection.withRedis(to: .show) { session in
            let secrets = unproven ? try await checks.secretIDs(session) : []
            let filter = filter
            let isWanted = { (key: KeyDescription) in
                filter.matches(key) && (!unproven || key.check.map { !secrets.contains($0) } ?? true)
            }
            // Says so where there is no such organization.
            if let org { _ = try await session.directory.organization(org) }
            let prefix = try await KeyTermsInForce(session).terms.prefix
            var listing = KeyListing(isJSON: json, isOrdered: org != nil || sort != nil, prefix: prefix)
            if let sort {
                var first = FirstKeys(by: sort, reversed: reverse, most: most ?? Self.mostSorted)
                try await forEachKey(session.directory, where: isWanted) { key in
                    first.add(key)
                    return true
                }
                let shown = first.keys()
                for key in shown { try listing.append(key) }
                if shown.count < first.count { tellOfRest(shown.count, of: first.count) }
            } else {
                var count = 0
                try await forEachKey(session.directory, where: isWanted) { key in
                    guard most.map({ count < $0 }) ?? true else { return false }
                    try listing.append(key)
                    count += 1
                    return true
                }
            }
            try listing.end(otherwise: nothing)
        }
    }

    /// - Parameter body: false where it wants no more.
    private func forEachKey(
        _ directory: Directory, where isWanted: (KeyDescription) -> Bool, _ body: (KeyDescription) throws -> Bool
    ) async throws {
        var pages = KeyPages(directory, of: org)
        while let page = try await pages.next() {
            for key in page where isWanted(key) {
                guard try body(key) else { return }
            }
        }
    }

    private var filter: KeyFilter {
        var filter = conditions.filter
        filter.statuses = Set(status)
        if active || unproven { filter.statuses = [.active] }
        filter.user = user
        filter.expiringWithin = expiring?.seconds
        filter.unusedFor = unused?.seconds
        return filter
    }

    private func tellOfRest(_ shown: Int, of count: Int) {
        Output.note("The first \(shown) of \(count) keys; more with --most.")
    }

    private var nothing: String {
        if unproven { return "No active key is unproven." }
        let isFiltered =
            !status.isEmpty || user != nil || expiring != nil || unused != nil || !conditions.where.isEmpty
        if isFiltered { return "No key matches." }
        return active
            ? "No active keys." : "No keys yet. Next: tollgatectl key issue --org \(org?.text ?? "NAME") --name laptop"
    }
}

/// A length of time in which keys end, or weren't used.
struct KeySpan {
    let seconds: Int

    init(_ text: String) throws {
        guard let seconds = Moment.seconds(text) else {
            throw ValidationError("expected a time such as 30d, 12h or 45m, at most 36500d")
        }
        self.seconds = seconds
    }
}

private func mostKeys(_ text: String) throws -> Int {
    guard let count = Int(text), 1...100_000 ~= count else {
        throw ValidationError("expected a number from 1 to 100000")
    }
    return count
}

extension KeyDescription.Status {
    /// `not-yet-valid`
    fileprivate init(argument text: String) throws {
        guard let status = Self(rawValue: text.split(separator: "-").joined(separator: " ")) else {
            throw ValidationError("expected active, revoked, expired, not-yet-valid, suspended or unreadable")
        }
        self = status
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
            ("told_within", .array(toldWithin.map { .string(Lifetime.text($0)) })),
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
