// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct KeyExpiring: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expiring",
        abstract: "Tell of keys that end soon, once each: to you, or to a command.",
        discussion: """
            Keys that work, end within the time, and have no replacement. With a command, it is run for each of them, \
            without a shell, and gets JSON on standard input: as key show prints it, and within and org_meta. A key whose \
            command ends with 0 is noted: for the same time the command isn't run for it again. Any other is tried again by \
            the next run. Run it by a timer, on one machine: deploy/systemd/tollgate-expiring.timer.

            EXAMPLES:
              tollgatectl key expiring --within 14d
              tollgatectl key expiring --within 14d --org acme --json
              tollgatectl key expiring --within 14d -- /etc/tollgate/key-expiring
              tollgatectl key expiring --within 24h -- mail -s 'A key ends tomorrow' ops@example.com
            """)

    @Option(
        help: ArgumentHelp("How soon: 14d, 24h.", valueName: "time"), transform: Threshold.init(parsing:))
    var within: Threshold
    @Option(
        help: "Keys of this organization; of all, where nothing is said.", transform: OrganizationID.init(argument:))
    var org: OrganizationID?
    @Flag(
        help: """
            Print JSON, one object a line: as key show does; with a command: id, ends_at, told (false: the command failed).
            """)
    var json = false
    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp(
            "A program to run for each key that it wasn't run for, and its arguments.", valueName: "command"))
    var command: [String] = []
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis(to: .show) { session in
            // Says so where there is no such organization.
            if let org { _ = try await session.directory.organization(org) }
            var pages = KeyPages(session.directory, of: org)
            guard command.isEmpty else {
                Interruption.watch()
                var telling = ExpiryTelling(session, HookCommand(command), within, isJSON: json)
                while !telling.isOver, let page = try await pages.next() {
                    try await telling.tell(of: page.filter(isEnding))
                }
                return try telling.finish()
            }
            let prefix = try await KeyTermsInForce(session).terms.prefix
            var listing = KeyListing(isJSON: json, isOrdered: false, prefix: prefix)
            while let page = try await pages.next() {
                for key in page where isEnding(key) { try listing.append(key) }
            }
            try listing.end(otherwise: "No key ends within \(within.text).")
        }
    }

    /// Of one that was replaced somebody knows.
    private func isEnding(_ key: KeyDescription) -> Bool {
        guard key.status == .active, key.revokedAt == nil, let endsAt = key.endsAt else { return false }
        return endsAt - key.readAt <= within.seconds
    }
}

/// How long before its end a key is told of.
struct Threshold {
    let seconds: Int
    /// As it may be written.
    var text: String { Lifetime.text(seconds) }

    init(parsing text: String) throws {
        guard let seconds = Moment.seconds(text) else {
            throw ValidationError("expected a time such as 14d or 24h, at most 36500d")
        }
        self.seconds = seconds
    }
}
