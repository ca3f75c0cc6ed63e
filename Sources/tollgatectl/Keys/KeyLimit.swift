// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyLimit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit",
        abstract: "Give a key other numbers for the policies per key.",
        discussion: """
            They hold from the next request on. policy=default removes one. While a replaced key works on, it and its \
            replacement get the same numbers. A bucket that is empty stays so: it says which, and what fills it.

            EXAMPLES:
              tollgatectl key limit acme/7h3kq2mzxb search=100/10s streams=8
              tollgatectl key limit acme/7h3kq2mzxb search=default
            """)

    @OptionGroup var key: KeyArgument
    @OptionGroup var limits: LimitArguments
    @Flag(help: "Print JSON: id, limits.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        let id = try key.parsed
        try await connection.withRedis { session in
            try await limits.check(for: .key, session)
            let (overrides, other) = try await session.directory.setLimits(limits.edits, of: id)
            if json {
                try Output.json([("id", .string(id.text)), ("limits", overrides.json)])
            } else {
                let keys = other.map { "keys \(id.text) and \($0.text)" } ?? "key \(id.text)"
                try Output.line("Own limits of \(keys): \(overrides.text)")
            }
            try await EmptyBuckets(subject: .key(id), edits: limits.edits).warn(session)
        }
    }
}
