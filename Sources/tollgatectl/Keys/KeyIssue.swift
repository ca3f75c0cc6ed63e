// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyIssue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Issue a key and show it, once.",
        discussion: """
            It begins with the prefix that the sidecars publish, and counts among as many as they let an organization have.

            EXAMPLES:
              tollgatectl key issue --org acme --name laptop
              tollgatectl key issue --org acme --name ci --user ada --expires 90d --json
              tollgatectl key issue --org acme --name batch --limit search=100/10s
              tollgatectl key issue --org acme --name reader --allow-tool 'get_*'
              tollgatectl key issue --org acme --name office --allow-from 203.0.113.0/24
              tollgatectl key issue --org acme --name desk --meta '{"seat":"reader"}'
            """)

    @Option(help: "The organization it belongs to.", transform: OrganizationID.init(argument:))
    var org: OrganizationID
    @Option(help: "What it is for, as people will read it: 1 to 100 characters.", transform: label)
    var name: String
    @Option(help: "Who it is for.", transform: label)
    var user: String?
    @Option(
        help: ArgumentHelp("A time from now (90d, 12h, 30m) or a moment (2027-01-01T00:00:00Z).", valueName: "when"),
        transform: Moment.expiry)
    var expires: KeyOrder.Expiry?
    @Option(
        help: ArgumentHelp(
            "Other numbers for a per-key policy: search=100/10s:200, monthly=5000/month, streams=8. Repeatable.",
            valueName: "policy=limit"),
        transform: LimitEdit.init(argument:))
    var limit: [LimitEdit] = []
    @Option(
        help: ArgumentHelp("What it is good for, such as listings:read. Repeatable.", valueName: "scope"),
        transform: scopeToken)
    var scope: [String] = []
    @Option(
        help: ArgumentHelp(
            "Where it may be used from: 10.0.0.0/8, 2001:db8::1, or unix for Unix sockets. Repeatable.",
            valueName: "network"),
        transform: network)
    var allowFrom: [String] = []
    @Option(
        help: ArgumentHelp("No key before this: a time from now (1h) or a moment.", valueName: "when"),
        transform: Moment.expiry)
    var notBefore: KeyOrder.Expiry?
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
    @OptionGroup var noted: MetaOption
    @Flag(help: "Print JSON: key, id, org, name, created_at, expires_at.")
    var json = false
    @OptionGroup var checks: CheckFileOption
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    func validate() throws {
        guard limit.allSatisfy({ $0.allowance != nil }) else {
            throw ValidationError("--limit: a new key has none to remove, so leave =default out")
        }
        guard Set(limit.map(\.policy)).count == limit.count else {
            throw ValidationError("--limit names a policy twice; give each once")
        }
    }

    func run() async throws {
        var order = KeyOrder(
            organization: org, name: name, user: user ?? "", expiry: expires ?? .never,
            limits: LimitOverrides.none.applying(limit).recordText,
            tools: ToolAccess(allowed: allowTool, denied: denyTool))
        order.scopes = KeyScopes(Set(scope))
        order.networks = KeyNetworks(parsing: allowFrom.joined(separator: " ")) ?? KeyNetworks()
        order.start = notBefore ?? .never
        order.meta = noted.meta
        try await connection.withRedis { [order] session in
            try await LimitCheck(edits: limit, owner: .key, argument: "--limit").check(session)
            let inForce = try await KeyTermsInForce(session)
            var order = order
            order.prefix = inForce.terms.prefix
            order.maximumActive = inForce.terms.maximumActive
            order.secret = try await checks.issuingSecret(by: inForce, session)
            let issued = try await session.directory.issueKey(order)
            inForce.warnOfOthers()
            await session.warnOfOtherNamespaces()
            try issued.show(json: json, remark: "Expires: \(issued.expiryText). Send it as \(inForce.terms.places).")
            // Once it was shown: whoever is tired of waiting has it.
            await replicas.warn(session.directory)
        }
    }
}

private func scopeToken(_ text: String) throws -> String {
    guard KeyScopes.isToken(text) else {
        throw ValidationError(
            "expected a scope such as listings:read: 1 to 128 visible characters, none of them \" or \\")
    }
    return text
}

private func network(_ text: String) throws -> String {
    guard text != "unix" else { return text }
    do throws(AddressBlock.Flaw) {
        return try AddressBlock(parsing: text).description
    } catch {
        throw ValidationError("expected a network such as 10.0.0.0/8, an address, or unix: \(error)")
    }
}

private func tool(_ text: String) throws -> Glob {
    guard ToolAccess.isWellFormed(text) else {
        throw ValidationError(
            "expected a tool's name or a pattern of 1 to 128 characters, without spaces and no ! before it")
    }
    return Glob(text)
}
