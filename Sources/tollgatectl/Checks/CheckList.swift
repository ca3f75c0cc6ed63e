// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits

struct CheckList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the secrets, the one that keys are issued with first, and how many active keys each has made.",
        discussion: """
            The secrets themselves are not shown.

            EXAMPLES:
              tollgatectl check list
              tollgatectl check list --json
            """)

    @Flag(
        help:
            "Print JSON, one object a line: id, created_at, issuing, active_keys; id is null for keys of no secret here."
    )
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        var listing = Listing(
            [
                .init(heading: "ID", mayShrink: false), .init(heading: "CREATED"), .init(heading: "USE"),
                .init(heading: "ACTIVE KEYS"),
            ], isJSON: json)
        try await connection.withDirectory { directory in
            let secrets = try await directory.checkSecrets()
            var counts = try await directory.activeKeysByCheck()
            for (index, stored) in secrets.enumerated() {
                let count = counts.removeValue(forKey: stored.secret.id) ?? 0
                try listing.append(row(stored, isIssuing: index == 0, count))
            }
            let others = counts.values.reduce(0, +)
            if others > 0 { try listing.append(row(nil, isIssuing: false, others)) }
            try listing.end(otherwise: "No secrets yet. The first key that is issued makes one.")
        }
    }

    private func row(_ stored: StoredCheckSecret?, isIssuing: Bool, _ count: Int) -> Listing.Row {
        let created = stored.map { Moment.text($0.createdAt) }
        return Listing.Row(
            sortKey: nil,
            cells: [
                Table.Cell(stored?.secret.id ?? "-"), Table.Cell(created ?? "-"),
                Table.Cell(stored == nil ? "unproven" : isIssuing ? "issue and check" : "check"),
                Table.Cell("\(count)"),
            ],
            json: [
                ("id", JSON(stored?.secret.id)), ("created_at", JSON(created)), ("issuing", .bool(isIssuing)),
                ("active_keys", .integer(count)),
            ])
    }
}

extension Directory {
    /// How many keys hold now, by the secret that their checks were made with; of nil, with none.
    func activeKeysByCheck() async throws -> [String?: Int] {
        var counts: [String?: Int] = [:]
        var pages = KeyPages(self, of: nil)
        while let page = try await pages.next() {
            for key in page where key.status == .active { counts[key.check, default: 0] += 1 }
        }
        return counts
    }
}
