// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits

struct CheckRetire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire",
        abstract: "Take a secret away: keys that were made with it are unproven from now on.",
        discussion: """
            With keys.check: prefer they go on to work, behind proven keys when junk comes; with require they are refused. It \
            says how many active keys that are, and asks.

            EXAMPLES:
              tollgatectl check retire b7qk2mzx
              tollgatectl check retire --yes b7qk2mzx
            """)

    @Argument(help: "As check list prints it.", transform: secretID)
    var id: String
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(help: "Print JSON: id, active_keys (made with it).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            let secrets = try await directory.checkSecrets()
            let known = secrets.contains { $0.secret.id == id }
            if known, secrets.count > 1, !secrets.contains(where: { $0.secret.id != id && $0.isSettled }) {
                throw Failure(
                    .tryAgain,
                    "not every sidecar has the other secret yet; try again in \(StoredCheckSecret.settling) seconds"
                ).report()
            }
            let count = known ? try await directory.activeKeysByCheck()[id] ?? 0 : 0
            let made = "\("active key".counted(count)) made with it"
            if known, !yes {
                try Prompt.confirm(
                    "Retire secret \(id)? \(made) would be unproven.",
                    doing: "secret \(id) would be retired, with \(made)", otherwise: "nothing was retired")
            }
            try await directory.retireCheckSecret(id, detail: made)
            // A key that was being made meanwhile is there by now, or never will be.
            let total = known ? try await directory.activeKeysByCheck()[id] ?? 0 : 0
            if total > count {
                Output.warn(
                    "\("key".counted(total - count)) more made with it meanwhile; see: tollgatectl key list --unproven")
            }
            if json { return try Output.json([("id", .string(id)), ("active_keys", .integer(total))]) }
            try Output.line("Secret \(id) retired, with \("active key".counted(total)) made with it.")
        }
    }
}

private func secretID(_ text: String) throws -> String {
    guard CheckSecret.isID(text) else {
        throw ValidationError("expected the id of a secret, 8 of a-z and 2-7, as check list prints it")
    }
    return text
}
