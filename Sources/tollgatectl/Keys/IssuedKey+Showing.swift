// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

extension IssuedKey {
    var expiryText: String { expiresAt.map(Moment.text) ?? "never" }

    /// Shows the key, which happens once.
    ///
    /// - Parameters:
    ///   - members: of the JSON, behind those that every new key has.
    ///   - remark: what people are told last.
    /// - Throws: a failure with 74 where it can't be shown, which says how to be rid of the key.
    func show(json: Bool, with members: [(String, JSON)] = [], remark: String) throws(ExitCode) {
        do throws(Output.Lost) {
            if json {
                try Output.json(self.members + members)
            } else {
                try Output.line(
                    """
                    \(key)

                    That is key \(id.text), "\(name.printable)". It is shown only now: store it where it is safe.
                    \(remark)
                    """)
            }
        } catch {
            throw Failure(
                .outputLost,
                "key \(id.text) was issued but could not be shown (\(error)); revoke it with: tollgatectl key "
                    + "revoke \(id.text)"
            ).report()
        }
    }

    private var members: [(String, JSON)] {
        [
            ("key", .string(key)), ("id", .string(id.text)), ("org", .string(id.organization.text)),
            ("name", .string(name)), ("created_at", .string(Moment.text(createdAt))),
            ("expires_at", JSON(expiresAt.map(Moment.text))),
        ]
    }
}
