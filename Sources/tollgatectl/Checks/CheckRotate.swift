// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits

struct CheckRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Add a secret that keys are issued with from now on.",
        discussion: """
            Keys that were made with others stay proven until you retire those. Issuing goes by the new one once every \
            sidecar has it, \(StoredCheckSecret.settling) seconds later.

            EXAMPLE:
              tollgatectl check rotate
            """)

    @Flag(help: "Print JSON: id.")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            let secret = try await directory.addCheckSecret()
            if json { return try Output.json([("id", .string(secret.id))]) }
            try Output.line(
                "Secret \(secret.id) added: keys are issued with it in \(StoredCheckSecret.settling) seconds. When those of an "
                    + "older one are replaced: tollgatectl check retire ID")
        }
    }
}
