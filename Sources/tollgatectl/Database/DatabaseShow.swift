// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Octets

struct DatabaseShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the database's id, by which sidecars know it.",
        discussion: """
            EXAMPLE:
              tollgatectl database show
            """)

    @Flag(help: "Print JSON: id (null: nobody has worked with it).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            let id = try await directory.databaseID()
            if json { return try Output.json([("id", id.map(JSON.string) ?? .null)]) }
            try Output.line(id?.printable ?? "It has no id: nobody has worked with it, or it was emptied.")
        }
    }
}
