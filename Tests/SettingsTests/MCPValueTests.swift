// SPDX-License-Identifier: Apache-2.0

import Limits
import Settings
import Testing

/// What is written about MCP, and what comes out.
@Suite struct MCPValueTests {
    private static let route = "routes: [{path: /mcp, mcp: true}]\n"

    private func parse(_ yaml: String) throws -> Settings {
        try Settings.parse(yaml, named: "t.yaml")
    }

    private func policies(_ entries: String) throws -> [Policy] {
        try parse("\(Self.route)policies: [\(entries)]").policies
    }

    // MARK: Policies

    @Test func whatMessagesSayIsMatchedByPatterns() throws {
        let policy = try policies(
            """
            {name: a, per: key, limit: 5/1s, match: {mcp_methods: ["tools/*"], tools: [search, "db_*"], prompts: ["p?"],
             resources: ["file:///*"], methods: [GET, POST], routes: [/mcp]}}
            """)[0]
        #expect(
            policy.match
                == Policy.Match(
                    routes: ["/mcp"], methods: ["GET", "POST"], mcpMethods: [Glob("tools/*")],
                    tools: [Glob("search"), Glob("db_*")], prompts: [Glob("p?")], resources: [Glob("file:///*")]))
        let longest = String(repeating: "a", count: 256)
        #expect(
            try policies("{name: a, per: key, limit: 5/1s, match: {tools: [\(longest)]}}")[0].match.tools == [
                Glob(longest)
            ]
        )
        #expect(throws: ConfigurationError.self) {
            try policies("{name: a, per: key, limit: 5/1s, match: {tools: [\(longest)a]}}")
        }
    }

    @Test func aCostIsANumberOrGoesByTool() throws {
        let policies = try policies(
            """
            {name: a, per: key, limit: 9/1s, cost: 3}, {name: b, per: key, limit: 9/1s, cost: {search: 5, ping: 0, 7: 9}},
            {name: c, per: key, limit: 0/1s, cost: {search: 5}}
            """)
        #expect(policies.map(\.cost) == [3, 1, 1, 1, 1])
        #expect(policies.map(\.toolCosts) == [[:], ["search": 5, "ping": 0, "7": 9], ["search": 5], [:], [:]])
    }

    @Test func waits() throws {
        let policies = try policies(
            """
            {name: a, per: key, limit: 5/1s}, {name: b, per: key, limit: 5/1s, wait: 1500ms},
            {name: c, per: key, limit: 5/1s, wait: 30s}
            """)
        #expect(policies.map(\.waitMicroseconds) == [0, 1_500_000, 30_000_000, 0, 0])
    }

    @Test(arguments: [
        ("auto", Policy.Reject.auto), ("http", .http), ("jsonrpc", .jsonrpc), ("tool_error", .toolError),
    ])
    func aPolicyThatSaysNothingRejectsAsAllDo(word: String, reject: Policy.Reject) throws {
        let settings = try parse(
            """
            \(Self.route)mcp: {reject: \(word)}
            policies: [{name: a, per: key, limit: 5/1s}, {name: b, per: key, limit: 5/1s, reject: http}]
            """)
        #expect(settings.mcp.reject == reject)
        #expect(settings.policies.map(\.name) == ["a", "b", "handshake", "open-streams"])
        #expect(settings.policies.map(\.reject) == [reject, .http, reject, reject])
        #expect(try parse("mcp: {reject: \(word)}").policies.map(\.reject) == [reject, reject])
    }

    // MARK: The handshake, and open streams

    @Test func whereMCPIsSpokenTheLastPoliciesAreItsOwn() throws {
        #expect(try parse(Self.route).policies == Policy.builtIn() + [.handshake(), .openStreams()])
        #expect(try policies("").map(\.name) == ["handshake", "open-streams"])
        #expect(try parse("routes: [{path: /api}]").policies == Policy.builtIn())
        #expect(try parse("policies: []").policies.isEmpty)
    }

    @Test func anEntryReplacesItsNumbersAndStaysWhereItIs() throws {
        let policies = try policies(
            """
            {name: handshake, limit: 5/1m, burst: 9, mode: enforce, reject: http, wait: 2s},
            {name: a, per: key, limit: 5/1s}
            """)
        #expect(policies.map(\.name) == ["handshake", "a", "open-streams"])
        #expect(
            policies[0]
                == .handshake(
                    limit: Limit(count: 5, periodMicroseconds: 60_000_000, burst: 9), reject: .http,
                    waitMicroseconds: 2_000_000))
    }

    @Test(arguments: [
        ("{name: handshake}", "120/m"), ("{name: handshake, burst: 7}", "120/m:7"),
        ("{name: handshake, per: key, limit: 5/1s}", "5/s"), ("{name: handshake, limit: '5/1s:8'}", "5/s:8"),
        ("{name: handshake, limit: 0/1s}", "0/s"),
    ])
    func whatAnEntryLeavesOutIsAsBuiltIn(entry: String, limit: String) throws {
        let policy = try policies(entry)[0]
        #expect(policy.allowance.description == limit)
        #expect((policy.subject, policy.callers, policy.cost) == (.key, .authenticated, 1))
        #expect(policy.match == Policy.handshake().match)
    }

    @Test func openStreamsHaveAnotherNumber() throws {
        let policies = try policies("{name: open-streams, concurrency: 7, mode: 25%, reject: http, wait: 2s}")
        #expect(policies.map(\.name) == ["open-streams", "handshake"])
        #expect(
            policies[0]
                == .openStreams(concurrency: 7, mode: .share(2_500), reject: .http, waitMicroseconds: 2_000_000))
        #expect(try self.policies("{name: open-streams, per: key}")[0] == .openStreams())
        #expect(try self.policies("{name: open-streams, concurrency: 0}")[0].allowance == .concurrency(0))
        #expect(Policy.openStreams().allowance == .concurrency(100))
    }

    // MARK: The mapping mcp

    @Test func everythingMayBeSaid() throws {
        let mcp = try parse(
            """
            mcp:
              bind_sessions: false
              trust_mcp_headers: true
              reject: jsonrpc
              hosts: [API.example.com, "localhost:8080", "[::1]:*"]
              origins: [https://App.example.com, "http://localhost:*", "https://a:443", "http://a:80", "http://a:443"]
              resource_metadata:
                resource: https://api.example.com/mcp
                authorization_servers: [https://login.example.com, "http://127.0.0.1:9000/x"]
                scopes_supported: ["listings:read", tools]
            """
        ).mcp
        #expect((mcp.bindsSessions, mcp.trustsHeaders, mcp.reject) == (false, true, .jsonrpc))
        #expect(mcp.hosts == ["api.example.com", "localhost:8080", "[::1]:*"])
        // As browsers write them.
        #expect(
            mcp.origins == [
                "https://app.example.com", "http://localhost:*", "https://a", "http://a", "http://a:443",
            ])
        #expect(mcp.resourceMetadata?.resource == "https://api.example.com/mcp")
        #expect(
            mcp.resourceMetadata?.authorizationServers == ["https://login.example.com", "http://127.0.0.1:9000/x"])
        #expect(mcp.resourceMetadata?.scopes == ["listings:read", "tools"])
    }

    /// As nothing would be written at all.
    @Test func theDefaultsMayBeWrittenOut() throws {
        let written =
            "mcp: {bind_sessions: true, trust_mcp_headers: false, reject: auto, hosts: [], origins: [], resource_metadata: null}"
        #expect(try parse(written) == Settings.load())
        #expect(try parse("mcp: {resource_metadata: ~}") == Settings.load())
        #expect(try parse("mcp: {}") == Settings.load())
    }

    /// Where no key is needed any page on this machine could ask.
    @Test func withoutKeysTheNamesOfThisMachineHold() throws {
        let settings = try parse("{keys: {anonymous: allow}, listen: ['0.0.0.0:80', 'gate:8080', '[::2]:1']}")
        #expect(settings.mcp.hosts == ["localhost", "127.0.0.1", "[::1]", "gate", "[::2]"])
        #expect(settings.mcp.origins.count == 10)
        #expect(settings.mcp.origins.prefix(2) == ["http://localhost:*", "https://localhost:*"])
        let named = try parse("{keys: {anonymous: allow}, mcp: {hosts: [api.example.com], origins: ['https://a']}}").mcp
        #expect((named.hosts, named.origins) == (["api.example.com"], ["https://a"]))
        let open = try parse("{keys: {anonymous: allow}, mcp: {hosts: [], origins: []}}").mcp
        #expect((open.hosts, open.origins) == ([], []))
    }

    // MARK: Sizes

    @Test(arguments: [
        ("{}", 4 << 20), ("{body_bytes: 1MiB}", 1 << 20), ("{body_bytes: 5MiB}", 4 << 20),
        ("{mcp_body_bytes: 16MiB}", 16 << 20), ("{body_bytes: 1GiB, mcp_body_bytes: 64MiB}", 64 << 20),
        ("{body_bytes: 1MiB, mcp_body_bytes: 1MiB}", 1 << 20), ("{mcp_body_bytes: 1}", 1),
    ])
    func noMessageIsLongerThanABody(limits: String, bytes: Int) throws {
        #expect(try parse("limits: \(limits)").limits.mcpBodyBytes == bytes)
    }
}
