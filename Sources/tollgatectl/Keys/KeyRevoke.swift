// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

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
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try ids
    }

    func run() async throws {
        let ids = try ids
        if ids.count > 1, !yes {
            try Prompt.confirm(
                "Revoke \(ids.count) keys?", doing: "\(ids.count) keys would be revoked",
                otherwise: "nothing was revoked")
        }
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
            if missing.count < ids.count { try await replicas.wait(directory, isToldInText: !json) }
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
            try Output.json([("id", .string(id.text)), ("revoked", .bool(isNew))])
        } else {
            try Output.line(isNew ? "Key \(id.text) revoked." : "Key \(id.text) was revoked before.")
        }
    }

    private var ids: [KeyID] {
        get throws {
            try id.enumerated().map { index, text in try KeyID(argument: text, number: id.count > 1 ? index + 1 : nil) }
        }
    }
}
