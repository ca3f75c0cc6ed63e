// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Tell which key a key is, and whether it holds.",
        discussion: """
            The key is asked for, or read from standard input: never give it as an argument, others see the command line. \
            A header line such as X-API-Key: mcp_... or Authorization: Bearer mcp_... will do.
            Exits with 0 where the key holds, 66 where nobody knows it, 73 where it is revoked, expired, not yet valid, \
            its organization suspended, or the sidecars take no keys like it. Nothing is charged.

            EXAMPLES:
              tollgatectl key verify
              tollgatectl key verify < key.txt
            """)

    /// Taken to be refused without being repeated, as the parser would do.
    @Argument(help: .hidden)
    var misplaced: [String] = []
    @Flag(
        help: "Print JSON, as key show does, and accepted (false: the sidecars take no keys like it; null: none says).")
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
        let line = try Prompt.secret("Key: ")
        guard !line.isEmpty else {
            throw Failure(.badData, "no key was given; type it at the prompt, or send it to standard input").report()
        }
        try await connection.withRedis { session in
            let inForce = try await KeyTermsInForce(session)
            let presented = PresentedKey(line, headers: inForce.terms.headers)
            let isAccepted = inForce.accept(presented.key)
            guard let key = try await session.directory.key(presenting: Array(presented.key.utf8)) else {
                throw Failure(
                    .notFound,
                    isAccepted == false
                        ? "that is no key of this gateway, whose keys are like \(inForce.terms.acceptedForms); is it whole, or a "
                            + "variable that was not expanded?"
                        : "no such key here; is it whole, and is this the Redis it was issued in?")
            }
            if json {
                try Output.json(key.json + [("accepted", isAccepted.map(JSON.bool) ?? .null)])
            } else {
                try Output.fields(key.fields)
            }
            guard key.status == .active else {
                throw Failure(.refused, "key \(key.id.text) does not hold: \(key.status.rawValue)")
            }
            try warn(of: presented, key.id, inForce)
        }
    }

    /// What stands in its way beside its record: how the sidecars look for keys.
    private func warn(of presented: PresentedKey, _ id: KeyID, _ inForce: KeyTermsInForce) throws(Failure) {
        guard inForce.accept(presented.key) != false else {
            throw Failure(
                .refused,
                "key \(id.text) does not hold: the sidecars take only keys like \(inForce.terms.acceptedForms) (keys.accept)"
            )
        }
        Output.warn(
            inForce.refusers(of: presented.key).map { set in
                let forms = set.set.keys?.acceptedForms ?? ""
                return "the key is refused by the terms \(set.description): they take only keys like \(forms)"
            })
        if let header = presented.header,
            !inForce.terms.headers.contains(where: { $0.lowercased() == header.lowercased() })
        {
            Output.warn("the sidecars look for no key in \(header): send it as \(inForce.terms.places)")
        }
    }
}
