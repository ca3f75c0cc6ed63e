// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory

struct KeyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a key's record, and why its calls are refused; the key itself is nowhere.",
        discussion: """
            Beside the record: which limits count its calls, what is left of each and whose number it is (FROM), as quota show \
            has it; and how many calls the sidecars have refused lately, by limits (429) and rights (403).

            EXAMPLE:
              tollgatectl key show acme/7h3kq2mzxb
            """)

    @OptionGroup var key: KeyArgument
    @Flag(
        help: """
            Print JSON: id, org, name, user, status (active, revoked, expired, not yet valid, suspended, unreadable), \
            subject, limits, tools, scopes, allow_from, created_at, not_before, expires_at, ends_at (the earliest end), \
            revoked_at, rotated_to, last_used_at, check, meta, told_within; refused (why the next call is, or null), denied_today, denied_7_days, and \
            sets as quota show has them.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        let id = try key.parsed
        try await connection.withRedis(to: .show) { session in
            let key = try await session.directory.key(id)
            let report = try await KeyStandingReport(of: key, session)
            if json { return try Output.json(key.json + report.members) }
            try Output.fields(key.fields + report.fields)
            guard !report.tables.isEmpty else { return }
            try Output.line("")
            try QuotaShow.show(report.tables, .key(id))
        }
    }
}
