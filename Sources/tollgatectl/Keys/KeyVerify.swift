// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser

struct KeyVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Tell which key a key is, and whether it holds.",
        discussion: """
            The key is asked for, or read from standard input: never give it as an argument, others see the command line.
            Exits with 0 where the key holds, 66 where nobody knows it, 73 where it is revoked, expired, not yet valid, \
            or its organization suspended. Nothing is charged.

            EXAMPLES:
              tollgatectl key verify
              tollgatectl key verify < key.txt
            """)

    /// Taken to be refused without being repeated, as the parser would do.
    @Argument(help: .hidden)
    var misplaced: [String] = []
    @Flag(help: "Print JSON, as key show does.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard misplaced.isEmpty else {
            throw ValidationError(
                "a key is no argument, since others see the command line: type it where key verify asks for it, or send "
                    + "it to standard input")
        }
    }

    func run() async throws {
        let credential = Array(try Prompt.secret("Key: ").utf8)
        guard !credential.isEmpty else {
            throw Failure(.badData, "no key was given; type it at the prompt, or send it to standard input").report()
        }
        try await connection.withDirectory { directory in
            guard let key = try await directory.key(presenting: credential) else {
                throw Failure(.notFound, "no such key here; is it whole, and is this the Redis it was issued in?")
            }
            if json {
                try Output.json(key.json)
            } else {
                try Output.fields(key.fields)
            }
            guard key.status == .active else {
                throw Failure(.refused, "key \(key.id.text) does not hold: \(key.status.rawValue)")
            }
        }
    }
}
