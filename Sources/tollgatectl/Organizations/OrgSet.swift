// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change how many keys an organization may have.",
        discussion: """
            It holds from the next key on; keys beyond it go on. Its limits, plan and status have verbs of their own: \
            org limit, org plan, org suspend.

            EXAMPLES:
              tollgatectl org set acme --max-active-keys 50
              tollgatectl org set acme --max-active-keys default
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Option(
        help: ArgumentHelp(
            "Keys that it may have at a time; default: what the configuration says.", valueName: "count"),
        transform: KeyCount.init(parsing:))
    var maxActiveKeys: KeyCount
    @Flag(help: "Print JSON: org, max_active_keys (null: what the configuration says).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            try await directory.setMaximumActiveKeys(maxActiveKeys.number, of: name)
            if json {
                return try Output.json([("org", .string(name.text)), ("max_active_keys", JSON(maxActiveKeys.number))])
            }
            let active = try await directory.organization(name).activeKeys
            let most = maxActiveKeys.number.map { "active key".counted($0) }
            try Output.line(
                "Organization \(name.text) may have \(most ?? "as many active keys as the configuration says") now; it has "
                    + "\(active).")
        }
    }
}

/// A number of keys, or `default`.
struct KeyCount {
    private static let possible = 0...1_000_000

    /// Nil is the configuration's.
    var number: Int?

    init(parsing text: String) throws {
        guard text != "default" else { return }
        guard let number = Int(text), Self.possible ~= number else {
            throw ValidationError("expected a number from 0 to \(Self.possible.upperBound), or default")
        }
        self.number = number
    }
}
