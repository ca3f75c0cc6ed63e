// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Replace a key by a new one and show that, once.",
        discussion: """
            The new key has the old key's permissions, limits and expiry date, and shares its buckets. Both work until \
            the grace is over; before that, the new key can't be replaced.

            EXAMPLES:
              tollgatectl key rotate acme/7h3kq2mzxb
              tollgatectl key rotate acme/7h3kq2mzxb --grace 7d --json
              tollgatectl key rotate acme/7h3kq2mzxb --grace 0s
            """)

    @Argument(help: "As key issue printed it: acme/7h3kq2mzxb.")
    var id: String
    @Option(
        help: "How long the old one works on: 24h, 7d, at most 30d; 0s ends it at once.", transform: Timestamp.grace)
    var grace = Timestamp.Grace(seconds: 86_400)
    @Flag(help: "Print JSON: key, id, org, name, created_at, expires_at, replaces, replaced_ends_at.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try keyID(id)
    }

    func run() async throws {
        let id = try keyID(id)
        let (issued, oldEndsAt) = try await connection.withRedis { session in
            let inForce = try await KeyTermsInForce(session)
            let rotated = try await session.directory.rotateKey(
                id, grace: grace.seconds, prefix: inForce.terms.prefix)
            inForce.warnOfOthers()
            return rotated
        }
        do {
            try show(issued, replacing: id, until: oldEndsAt)
        } catch {
            throw Failure(
                .outputLost,
                "key \(issued.id.text) was issued but could not be shown (\(error)); revoke it with: tollgatectl key "
                    + "revoke \(issued.id.text)"
            ).report()
        }
    }

    private func show(_ issued: IssuedKey, replacing id: KeyID, until oldEndsAt: Int) throws(Output.Lost) {
        let expiry = issued.expiresAt.map(Timestamp.text)
        if json {
            try Output.json([
                ("key", .string(issued.key)), ("id", .string(issued.id.text)),
                ("org", .string(issued.id.organization.text)), ("name", .string(issued.name)),
                ("created_at", .string(Timestamp.text(issued.createdAt))), ("expires_at", JSON(expiry)),
                ("replaces", .string(id.text)), ("replaced_ends_at", .string(Timestamp.text(oldEndsAt))),
            ])
        } else {
            let end = grace.seconds == 0 ? "is refused from now on" : "works until \(Timestamp.text(oldEndsAt))"
            try Output.line(
                """
                \(issued.key)

                That is key \(issued.id.text), "\(issued.name.printable)". It is shown only now: store it where it is safe.
                It replaces \(id.text), which \(end). Expires: \(expiry ?? "never").
                """)
        }
    }
}
