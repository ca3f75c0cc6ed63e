// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Foundation

struct KeyRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revoke keys: they are refused from the next request on.",
        discussion: """
            EXAMPLES:
              tollgatectl key revoke acme/7h3kq2mzxb
              tollgatectl key revoke --yes acme/7h3kq2mzxb acme/qz5t2mrwkd
            """)

    @Argument(help: "As key issue printed it: acme/7h3kq2mzxb.")
    var id: [String]
    @Flag(help: "Do not ask before revoking more than one.")
    var yes = false
    @Flag(help: "Print JSON, one object a key: id, revoked (false: it was before).")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try ids
    }

    func run() async throws {
        let ids = try ids
        if ids.count > 1, !yes { try confirm(ids.count) }
        try await connection.withDirectory { directory in
            // Whoever revokes several in a hurry wants the others gone, whatever is wrong with one.
            var missing: [String] = []
            var lost: Output.Lost?
            for id in ids {
                do {
                    let isNew = try await directory.revokeKey(id)
                    try show(id, isNew)
                } catch DirectoryError.keyMissing(let text) {
                    missing.append(text)
                } catch let error as Output.Lost {
                    lost = error
                }
            }
            if let lost { throw lost }
            switch missing.count {
            case 0: return
            case 1: throw DirectoryError.keyMissing(missing[0])
            default: throw Failure(.notFound, "keys \(missing.joined(separator: ", ")) do not exist").report()
            }
        }
    }

    private func show(_ id: KeyID, _ isNew: Bool) throws(Output.Lost) {
        if json {
            try Output.line(#"{"id":"\#(id.text)","revoked":\#(isNew)}"#)
        } else {
            try Output.line(isNew ? "Key \(id.text) revoked." : "Key \(id.text) was revoked before.")
        }
    }

    private func confirm(_ count: Int) throws {
        guard isatty(STDIN_FILENO) != 0 else {
            throw ValidationError("\(count) keys would be revoked; give --yes where nobody can be asked")
        }
        FileHandle.standardError.write(Data("Revoke \(count) keys? [y/N] ".utf8))
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw Failure(.refused, "nothing was revoked").report()
        }
    }

    /// A refusal doesn't repeat what was given, as the parser's own would: it may be a key in place of its id.
    private var ids: [KeyID] {
        get throws {
            try id.enumerated().map { index, text in
                guard let id = KeyID(text) else {
                    let which = id.count > 1 ? " number \(index + 1)" : ""
                    throw ValidationError(
                        "<id>\(which): expected what key issue named the key, such as acme/7h3kq2mzxb, not the key itself"
                    )
                }
                return id
            }
        }
    }
}
