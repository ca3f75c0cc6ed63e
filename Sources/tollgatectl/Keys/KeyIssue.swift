// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Foundation
import Settings

struct KeyIssue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Issue a key and show it, once.",
        discussion: """
            EXAMPLES:
              tollgatectl key issue --org acme --name laptop
              tollgatectl key issue --org acme --name ci --user ada --expires 90d --json
              tollgatectl key issue --org acme --name batch --limit search=100/10s
              tollgatectl key issue --org acme --name reader --allow-tool 'get_*'
            """)

    @Option(help: "The organization it belongs to.", transform: organization)
    var org: OrganizationID
    @Option(help: "What it is for, as people will read it: 1 to 100 characters.", transform: label)
    var name: String
    @Option(help: "Who it is for.", transform: label)
    var user: String?
    @Option(
        help: ArgumentHelp("A time from now (90d, 12h, 30m) or a moment (2027-01-01T00:00:00Z).", valueName: "when"),
        transform: Timestamp.expiry)
    var expires: KeyOrder.Expiry?
    @Option(
        help: ArgumentHelp(
            "Other numbers for a per-key policy: search=100/10s:200. Repeatable.", valueName: "policy=limit"),
        transform: LimitOption.init)
    var limit: [LimitOption] = []
    @Option(
        help: ArgumentHelp(
            "An MCP tool the key may call, * and ? match; with one, no others. Repeatable.", valueName: "pattern"),
        transform: tool)
    var allowTool: [Glob] = []
    @Option(
        help: ArgumentHelp(
            "An MCP tool the key may not call, whatever else allows it. Repeatable.", valueName: "pattern"),
        transform: tool)
    var denyTool: [Glob] = []
    @Option(
        help: ArgumentHelp(
            "The sidecars' configuration: to check --limit against it rather than what they publish, and for its namespace, key prefix and most active keys.",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?
    @Flag(help: "Print JSON: key, id, org, name, created_at, expires_at.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        let policies = limit.map(\.policy)
        guard Set(policies).count == policies.count else {
            throw ValidationError("--limit names a policy twice; give each once")
        }
    }

    func run() async throws {
        var order = KeyOrder(
            organization: org, name: name, user: user ?? "", expiry: expires ?? .never,
            limits: limit.map(\.text).joined(separator: " "),
            tools: ToolAccess(allowed: allowTool, denied: denyTool))
        let settings = try config.map(PolicySource.read)
        if let settings {
            order.prefix = settings.keys.prefix
            order.maximumActive = settings.keys.maxActivePerOrganization
        }
        let issued = try await connection.withRedis(configured: settings?.namespace) { [order] client, namespace in
            try await check(settings, Sidecars(client, namespace: namespace))
            return try await Directory(client, namespace: namespace).issueKey(order)
        }
        do {
            try show(issued)
        } catch {
            throw Failure(
                .outputLost,
                "key \(issued.id.text) was issued but could not be shown (\(error)); revoke it with: tollgatectl key "
                    + "revoke \(issued.id.text)"
            ).report()
        }
    }

    /// A key's overrides belong to the policies whose buckets are the key's own.
    private func check(_ settings: Settings?, _ sidecars: Sidecars) async throws {
        guard !limit.isEmpty else { return }
        if let settings { return try refuseMisfits(settings.policies, of: "the configuration") }
        let sets = try await PolicySource.published(sidecars)
        if sets.isEmpty {
            Output.warn("--limit is not checked: no sidecar has published its policies; give --config FILE to check it")
        }
        for set in sets { try refuseMisfits(set.set.policies, of: "the policies \(set.description)") }
    }

    private func refuseMisfits(_ policies: [Policy], of whom: String) throws(Failure) {
        for option in limit {
            guard let policy = policies.first(where: { $0.name == option.policy }) else {
                let names = policies.map(\.name).joined(separator: ", ")
                throw Failure(.badData, "--limit: no policy \(option.policy) in \(whom): there are \(names)")
            }
            guard policy.subject == .key else {
                throw Failure(
                    .badData,
                    "--limit: policy \(option.policy) is per \(policy.subject.rawValue), a key can override only those per key"
                )
            }
        }
    }

    private func show(_ issued: IssuedKey) throws(Output.Lost) {
        let expiry = issued.expiresAt.map(Timestamp.text)
        if json {
            try Output.json([
                ("key", .string(issued.key)), ("id", .string(issued.id.text)), ("org", .string(org.text)),
                ("name", .string(issued.name)), ("created_at", .string(Timestamp.text(issued.createdAt))),
                ("expires_at", JSON(expiry)),
            ])
        } else {
            try Output.line(
                """
                \(issued.key)

                That is key \(issued.id.text), "\(issued.name.printable)". It is shown only now: store it where it is safe.
                Expires: \(expiry ?? "never"). Send it as X-API-Key, or as Authorization: Bearer.
                """)
        }
    }
}

/// `policy=limit`, the limit as the configuration writes it.
struct LimitOption: Sendable, Equatable {
    let policy: String
    let limit: String

    var text: String { "\(policy)=\(limit)" }

    init(_ text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, Policy.isName(parts[0]) else {
            throw ValidationError("expected policy=limit such as search=100/10s")
        }
        do {
            _ = try Limit(parsing: String(parts[1]))
        } catch {
            throw ValidationError("\(parts[0]): \(error)")
        }
        policy = String(parts[0])
        limit = String(parts[1])
    }
}

private func tool(_ text: String) throws -> Glob {
    guard ToolAccess.isWellFormed(text) else {
        throw ValidationError(
            "expected a tool's name or a pattern of 1 to 128 characters, without spaces and no ! before it")
    }
    return Glob(text)
}

/// Text that people will read in lists: one line that shows something and has an end.
private func label(_ text: String) throws -> String {
    let breaks: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator]
    let scalars = text.unicodeScalars
    // Counted in scalars: a single character can be made of any number of them.
    guard (1...100).contains(scalars.count),
        !scalars.contains(where: { breaks.contains($0.properties.generalCategory) }),
        !text.allSatisfy(\.isWhitespace)
    else { throw ValidationError("expected a line of 1 to 100 characters") }
    return text
}
