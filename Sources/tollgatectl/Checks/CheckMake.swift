// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

struct CheckMake: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Print a new secret, for a file that sidecars read (keys.check_file).",
        discussion: """
            It is kept nowhere: put it into the file of every sidecar, as the first line to issue with it, and give whoever \
            issues keys a copy. Redis isn't asked.

            EXAMPLE:
              tollgatectl check make >> checks.txt
            """)

    func run() throws {
        let secret = CheckSecret.random()
        try Output.line("\(secret.id) \(secret.secretText)")
    }
}
