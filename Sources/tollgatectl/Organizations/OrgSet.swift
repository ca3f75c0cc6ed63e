// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct OrgSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change how many keys an organization may have, for how long, and what is noted about it.",
        discussion: """
            What keys may be holds from the next key on; those there are go on. What is noted holds from the next request on. \
            Its limits, plan and status have verbs of their own: org limit, org plan, org suspend.

            EXAMPLES:
              tollgatectl org set acme --max-active-keys 50
              tollgatectl org set acme --max-active-keys default
              tollgatectl org set acme --max-lifetime 90d
              tollgatectl org set acme --meta '{"tier":"gold","seats":5}'
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Option(
        help: ArgumentHelp(
            "Keys that it may have at a time; default: what the configuration says.", valueName: "count"),
        transform: KeyCount.init(parsing:))
    var maxActiveKeys: KeyCount?
    @Option(
        help: ArgumentHelp(
            "How long its keys may live, such as 90d: those without an earlier expiry get it, longer ones are refused. "
                + "none: for as long as anybody likes.", valueName: "time"),
        transform: Lifetime.init(parsing:))
    var maxLifetime: Lifetime?
    @Option(
        help: ArgumentHelp(
            "A JSON object of at most 1 KiB, in place of what was noted; {} takes it away. The handler gets what "
                + "keys.forward_meta lists.", valueName: "json"),
        transform: Meta.init(argument:))
    var meta: Meta?
    @Flag(
        help: """
            Print JSON: org, and what was set of max_active_keys (null: what the configuration says), \
            max_lifetime_seconds (null: for ever) and meta.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard maxActiveKeys != nil || maxLifetime != nil || meta != nil else {
            throw ValidationError("give --max-active-keys, --max-lifetime or --meta")
        }
    }

    func run() async throws {
        try await connection.withDirectory { directory in
            try await directory.set(
                OrganizationSettings(
                    maximumActiveKeys: maxActiveKeys?.setting, maximumLifetime: maxLifetime?.setting, meta: meta),
                of: name)
            if json { return try Output.json(members) }
            let active = try await directory.organization(name).activeKeys
            try Output.lines(sentences(active))
        }
    }

    private var members: [(String, JSON)] {
        [("org", .string(name.text))]
            + [
                maxActiveKeys.map { ("max_active_keys", JSON($0.number)) },
                maxLifetime.map { ("max_lifetime_seconds", JSON($0.seconds)) },
                meta.map { ("meta", JSON(meta: $0.text)) },
            ].compactMap(\.self)
    }

    private func sentences(_ active: Int) -> [String] {
        let keys = maxActiveKeys.map {
            let most = $0.number.map { "active key".counted($0) } ?? "as many active keys as the configuration says"
            return "Organization \(name.text) may have \(most) now; it has \(active)."
        }
        let life = maxLifetime.map {
            let longest = $0.seconds.map { "at most \(Lifetime.text($0))" } ?? "for as long as they are issued for"
            return "Keys of organization \(name.text) live \(longest), from the next one on."
        }
        let noted = meta.map {
            $0.isEmpty
                ? "Organization \(name.text) has no meta now."
                : "Meta of organization \(name.text): \($0.text.printable)"
        }
        return [keys, life, noted].compactMap(\.self)
    }
}

extension KeyCount {
    var setting: OrganizationSettings.Number { number.map(OrganizationSettings.Number.own) ?? .default }
}

extension Lifetime {
    var setting: OrganizationSettings.Number { seconds.map(OrganizationSettings.Number.own) ?? .default }
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
