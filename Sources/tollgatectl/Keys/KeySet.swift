// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct KeySet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change what is noted about a key.",
        discussion: """
            It holds from the next request on. The handler gets the members that keys.forward_meta lists.

            EXAMPLES:
              tollgatectl key set acme/7h3kq2mzxb --meta '{"tier":"gold"}'
              tollgatectl key set acme/7h3kq2mzxb --meta '{}'
            """)

    @OptionGroup var key: KeyArgument
    @Option(
        help: ArgumentHelp(
            "A JSON object of at most 1 KiB, in place of what was noted; {} takes it away.", valueName: "json"),
        transform: Meta.init(argument:))
    var meta: Meta
    @Flag(help: "Print JSON: id, meta.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        let id = try key.parsed
        try await connection.withDirectory { directory in
            try await directory.setMeta(meta, of: id)
            if json { return try Output.json([("id", .string(id.text)), ("meta", JSON(meta: meta.text))]) }
            try Output.line(
                meta.isEmpty ? "Key \(id.text) has no meta now." : "Meta of key \(id.text): \(meta.text.printable)")
        }
    }
}
