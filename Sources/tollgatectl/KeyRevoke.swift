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

    @Argument(help: "As key issue printed it: acme/7h3kq2mzxb.", transform: keyID)
    var id: [KeyID]
    @Flag(help: "Do not ask before revoking more than one.")
    var yes = false
    @Flag(help: "Print JSON, one object a key: id, revoked (false: it was before).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        if id.count > 1, !yes { try confirm() }
        try await connection.withDirectory { directory in
            var missing: [String] = []
            for id in id {
                let isNew: Bool
                do throws(DirectoryError) {
                    isNew = try await directory.revokeKey(id)
                } catch .keyMissing(let text) {
                    // Whoever revokes several in a hurry wants the others gone all the same.
                    missing.append(text)
                    continue
                }
                if json {
                    print(#"{"id":"\#(id.text)","revoked":\#(isNew)}"#)
                } else {
                    print(isNew ? "Key \(id.text) revoked." : "Key \(id.text) was revoked before.")
                }
            }
            switch missing.count {
            case 0: return
            case 1: throw DirectoryError.keyMissing(missing[0])
            default:
                let names = missing.joined(separator: ", ")
                throw Failure(.notFound, "keys \(names) do not exist").report()
            }
        }
    }

    private func confirm() throws {
        guard isatty(STDIN_FILENO) != 0 else {
            throw ValidationError("\(id.count) keys would be revoked; give --yes where nobody can be asked")
        }
        FileHandle.standardError.write(Data("Revoke \(id.count) keys? [y/N] ".utf8))
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw Failure(.refused, "nothing was revoked").report()
        }
    }
}

private func keyID(_ text: String) throws -> KeyID {
    guard let id = KeyID(text) else {
        throw ValidationError("expected an id such as acme/7h3kq2mzxb, got '\(text.prefix(20))'")
    }
    return id
}
