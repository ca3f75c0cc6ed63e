// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Replace a key by a new one and show that, once.",
        discussion: """
            The new key has the old key's permissions, limits, notes and, without --expires, its expiry date, and shares its \
            buckets. Both work until the grace is over; before that, the new key can't be replaced.

            EXAMPLES:
              tollgatectl key rotate acme/7h3kq2mzxb
              tollgatectl key rotate acme/7h3kq2mzxb --grace 7d --json
              tollgatectl key rotate acme/7h3kq2mzxb --expires 90d
              tollgatectl key rotate acme/7h3kq2mzxb --grace 0s
            """)

    @OptionGroup var key: KeyArgument
    @Option(
        help: "How long the old one works on: 24h, 7d, at most 30d; 0s ends it at once.", transform: Moment.grace)
    var grace = Moment.Grace(seconds: 86_400)
    @Option(
        help: ArgumentHelp(
            "When the new one ends: a time from now (90d) or a moment; when the old one would have, where nothing is said.",
            valueName: "when"),
        transform: Moment.expiry)
    var expires: KeyOrder.Expiry?
    @Flag(help: "Print JSON: key, id, org, name, created_at, expires_at, replaces, replaced_ends_at.")
    var json = false
    @OptionGroup var checks: CheckFileOption
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    func run() async throws {
        let id = try key.parsed
        try await connection.withRedis { session in
            let inForce = try await KeyTermsInForce(session)
            let (issued, oldEndsAt) = try await session.directory.rotateKey(
                id, grace: grace.seconds, expiry: expires, prefix: inForce.terms.prefix,
                secret: try await checks.issuingSecret(by: inForce, session))
            inForce.warnOfOthers()
            let end = grace.seconds == 0 ? "is refused from now on" : "works until \(Moment.text(oldEndsAt))"
            try issued.show(
                json: json,
                with: [("replaces", .string(id.text)), ("replaced_ends_at", .string(Moment.text(oldEndsAt)))],
                remark: "It replaces \(id.text), which \(end). Expires: \(issued.expiryText).")
            // Once it was shown: whoever is tired of waiting has it.
            await replicas.warn(session.directory)
        }
    }
}
