// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory

struct KeyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a key's record; the key itself is nowhere.",
        discussion: """
            EXAMPLE:
              tollgatectl key show acme/7h3kq2mzxb
            """)

    @OptionGroup var key: KeyArgument
    @Flag(
        help: """
            Print JSON: id, org, name, user, status (active, revoked, expired, not yet valid, suspended, unreadable), \
            subject, limits, tools, scopes, allow_from, created_at, not_before, expires_at, ends_at (the earliest end), \
            revoked_at, rotated_to, last_used_at, check, meta.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        let id = try key.parsed
        try await connection.withDirectory { directory in
            let key = try await directory.key(id)
            if json {
                try Output.json(key.json)
            } else {
                try Output.fields(key.fields)
            }
        }
    }
}
