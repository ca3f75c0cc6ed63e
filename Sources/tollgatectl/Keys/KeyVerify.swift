// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct KeyVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Tell which key a key is, and whether it holds.",
        discussion: """
            The key is asked for, or read from standard input: never give it as an argument, others see the command line. \
            A header line such as X-API-Key: mcp_... or Authorization: Bearer mcp_... will do.
            Exits with 0 where the key holds, 66 where nobody knows it, 73 where it is revoked, expired, not yet valid, \
            its organization suspended, or the sidecars take no keys like it. It says whether the key's check is right. Nothing is \
            charged.
            With --offline Redis isn't asked: only whether the key's check is right (0), or not (73), by the secrets of \
            --check-file. Whether it was revoked since, that doesn't tell.

            EXAMPLES:
              tollgatectl key verify
              tollgatectl key verify < key.txt
              tollgatectl key verify --offline --check-file checks.txt
            """)

    /// Taken to be refused without being repeated, as the parser would do.
    @Argument(help: .hidden)
    var misplaced: [String] = []
    @Flag(
        help:
            "Print JSON, as key show does, and accepted (false: the sidecars take no keys like it; null: none says) and proven (false: its check isn't right; null: it has none, or nobody knows)."
    )
    var json = false
    @Flag(help: "Look only at the key's check; Redis isn't asked. With --json: proven, check.")
    var offline = false
    @OptionGroup var checks: CheckFileOption
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
        if offline { return try verifyOffline(line) }
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
            let proof = try await checks.secrets(by: inForce, session)?.proof(
                of: Array(presented.key.utf8), prefix: Array(inForce.terms.prefix.utf8))
            if json {
                try Output.json(
                    key.json + [("accepted", isAccepted.map(JSON.bool) ?? .null), ("proven", proof?.json ?? .null)])
            } else {
                try Output.fields(key.fields + (proof.map { [("Check", $0.cell)] } ?? []))
            }
            guard key.status == .active else {
                throw Failure(.refused, "key \(key.id.text) does not hold: \(key.status.rawValue)")
            }
            guard inForce.terms.check != .require || proof != .unproven else {
                throw Failure(
                    .refused, "key \(key.id.text) does not hold: it is unproven, and the sidecars require a right check"
                )
            }
            try warn(of: presented, key.id, inForce)
        }
    }

    private func verifyOffline(_ line: String) throws {
        let configuration = try connection.file.configuration
        guard let secrets = try checks.secretsOfFile(configuration) else {
            throw ValidationError("--offline: name the file of the secrets by --check-file")
        }
        let terms = configuration?.settings.keys.terms ?? .standard
        let key = Array(PresentedKey(line, headers: terms.headers).key.utf8)
        let proof = secrets.proof(of: key, prefix: Array(terms.prefix.utf8))
        let check: String? = if case .proven(let id) = proof { id } else { nil }
        if json { try Output.json([("proven", .bool(check != nil)), ("check", JSON(check))]) }
        guard let check else {
            throw Failure(
                .refused,
                "the check is not right: the key was made up, cut off, made before there were checks, or with another secret"
            ).report()
        }
        if !json { try Output.line("The check is right, by secret \(check). Whether the key holds, Redis alone says.") }
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

extension KeyProof {
    fileprivate var cell: Table.Cell {
        switch self {
        case .proven: Table.Cell("right", .good)
        case .unproven: Table.Cell("not right: behind proven keys when junk comes", .bad)
        case .foreign: Table.Cell("none, as it has another form")
        }
    }

    fileprivate var json: JSON {
        switch self {
        case .proven: .bool(true)
        case .unproven: .bool(false)
        case .foreign: .null
        }
    }
}
