// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Octets

struct DatabaseAdopt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt",
        abstract: "Have running sidecars work with a database that was emptied or restored.",
        discussion: """
            Sidecars go on without a database that isn't the one they began with, and log the id of theirs. This gives the \
            database that id: within a second they work with what it holds, without a restart. Keys that it doesn't hold \
            are none then. On a cluster every part of it gets the id, also a primary that came back without its keys.

            EXAMPLES:
              tollgatectl database adopt 5f2b8c0e9d4a4b7f8e6d1c2b3a495867
              tollgatectl database adopt --yes 5f2b8c0e9d4a4b7f8e6d1c2b3a495867
            """)

    @Argument(help: "The id that the sidecars log.", transform: databaseID)
    var id: String
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(help: "Print JSON: id, changed (false: it was that before).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            let old = try await directory.databaseID()
            // Of a cluster a part may have lost it.
            let isWhole = try await directory.guards()?.show(id) ?? true
            if old != id || !isWhole, !yes {
                let others =
                    old.map { $0 == id ? "" : "; sidecars that know it as \($0.printable) will go on without it" } ?? ""
                try Prompt.confirm(
                    "Have the sidecars that know the id \(id) work with this database\(others)?",
                    doing: "the database would get the id \(id)\(others)", otherwise: "nothing was changed")
            }
            let isChanged = try await directory.adoptDatabase(id) != id || !isWhole
            if json { return try Output.json([("id", .string(id)), ("changed", .bool(isChanged))]) }
            try Output.line(
                isChanged
                    ? "The database has the id \(id) now: sidecars that know it by that work with it."
                    : "The database had the id \(id) before.")
        }
    }
}

private func databaseID(_ text: String) throws -> String {
    guard DatabaseID.isWellFormed(text) else {
        throw ValidationError("expected the 32 of 0-9 a-f that a sidecar logs as its database's id")
    }
    return text
}
