// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import MCP
import NIOCore
import Settings
import Testing

@testable import Proxy

/// From the fields and the body of a message to what is asked about it.
@Suite struct MessageIntakeTests {
    static let plain = """
        routes: [{path: /mcp, mcp: true}]
        policies: [{name: org, per: org, limit: 10/1s}]
        """
    private static let trusting = plain + "\nmcp: {trust_mcp_headers: true}"
    private static let modern = "MCP-Protocol-Version: 2026-07-28"

    // MARK: Opening

    @Test(
        arguments: [
            ("POST /mcp", ["X-API-Key: mcp_a", "Content-Length: 2"], "announced mcp_a"),
            ("POST /mcp/x", ["Content-Length: 2"], "announced 192.0.2.1"),
            // Without a body, and by any other method, it is charged as one message.
            ("POST /mcp", ["X-API-Key: mcp_a"], "org 1"), ("POST /mcp", ["Content-Length: 0"], "org 1"),
            ("GET /mcp", [], "org 1"), ("DELETE /mcp", [], "org 1"), ("HEAD /mcp", [], "org 1"),
            ("GET /mcp", ["Accept: text/event-stream"], "org 0, open-streams 0"),
            ("GET /mcp", ["Accept: application/json, text/event-stream;q=0.5"], "org 0, open-streams 0"),
            ("DELETE /mcp", ["Mcp-Session-Id: s"], "org 0"),
            ("DELETE /mcp", ["Mcp-Session-Id: s", modern], "org 1"),
        ] as [(String, [String], String)])
    func asksAtOnceWhatNoBodySays(request: String, fields: [String], expected: String) throws {
        var incoming = try Incoming(request, fields)
        let opening = incoming.open()
        #expect(incoming.text(opening) == expected)
    }

    @Test func onAPublicRouteNobodyIsAnnounced() throws {
        var incoming = try Incoming(
            "POST /mcp", ["Content-Length: 2"], by: "routes: [{path: /mcp, mcp: true, public: true}]")
        let opening = incoming.open()
        #expect(incoming.text(opening) == "read")
    }

    /// The announcement is the request itself, but for who pays.
    @Test func announcesWhoIsAsking() throws {
        var incoming = try Incoming(posting: [])
        guard case .announce(let request) = incoming.open() else { return #expect(Bool(false)) }
        guard case .announced = request.kind, case .presented(let key) = request.credential else {
            return #expect(Bool(false))
        }
        #expect(key == Array("mcp_a".utf8))
        #expect(request.address == "192.0.2.1")
    }

    @Test(arguments: [
        ([modern, "Mcp-Method: tools/call", "Mcp-Name: add"], "org 1"),
        ([modern, "Mcp-Method: notifications/x"], "org 0"),
        ([modern, "Mcp-Method: initialize"], "org 0, handshake 1"),
        (["Mcp-Method: tools/call", "Mcp-Name: add"], "announced mcp_a"), ([modern], "announced mcp_a"),
    ])
    func trustsFieldsWhereTheHandlerComparesThem(fields: [String], expected: String) throws {
        var trusting = try Incoming(posting: fields, by: Self.trusting)
        let opening = trusting.open()
        #expect(trusting.text(opening) == expected)
        var plain = try Incoming(posting: fields)
        let announced = plain.open()
        #expect(plain.text(announced) == "announced mcp_a")
    }

    // MARK: Fields that are refused

    @Test(arguments: [
        (["Mcp-Method: a", "Mcp-Method: a"], "mcp-method given twice"),
        (["Mcp_Session_Id: a"], "mcp-session-id spelt with underscores"),
        (["MCP-Protocol-Version: a", "mcp-protocol-version: b"], "mcp-protocol-version given twice"),
    ])
    func refusesFieldsThatSayTwoThings(fields: [String], detail: String) throws {
        let triaged = try Triaged("POST /mcp", fields, by: Self.plain)
        #expect(triaged.description == "400 malformed_message, refusal 192.0.2.1")
        #expect(triaged.refusal?.detail.lowercased() == detail)
        #expect(triaged.triage.intake == nil)
    }

    @Test(
        arguments: [
            (["Content-Encoding: gzip"], "415 encoded_message"), (["Content-Encoding: Identity"], nil),
            (["Content_Encoding: gzip"], "415 encoded_message"),
            (["Content-Type: application/json; charset=utf-16"], "415 encoded_message"),
            (["Content-Type: application/json; charset=\"UTF-8\""], nil),
            (["Content-Type: application/json", "Content-Type: a; charset=utf-7"], "415 encoded_message"),
        ] as [([String], String?)])
    func refusesWhatIsEncodedOnceTheKeyIsJudged(fields: [String], refusal: String?) throws {
        let fields = ["X-API-Key: mcp_a", "Content-Length: 2"] + fields
        let triaged = try Triaged("POST /mcp", fields, by: Self.plain)
        #expect(triaged.description == refusal.map { "judged mcp_a, then \($0)" } ?? "protected mcp_a")
        let open = try Triaged("POST /mcp", fields, by: "routes: [{path: /mcp, mcp: true, public: true}]")
        #expect(open.description == refusal ?? "publicRoute 192.0.2.1")
    }

    @Test(arguments: [
        ("Content-Length: 4194304", "protected 192.0.2.1"),
        ("Content-Length: 4194305", "judged 192.0.2.1, then 413 body_too_large closing"),
    ])
    func messagesHaveALimitOfTheirOwn(length: String, expected: String) throws {
        let triaged = try Triaged("POST /mcp", [length], by: Self.plain)
        #expect(triaged.description == expected)
        #expect(triaged.triage.bodyLimit == 4 << 20)
        // What is streamed isn't held.
        let streamed = try Triaged("POST /mcp", [length, Self.modern, "Mcp-Method: ping"], by: Self.trusting)
        #expect(streamed.description == "protected 192.0.2.1")
        #expect(streamed.triage.bodyLimit == 16 << 20)
    }

    private static let guarded = plain + "\nmcp: {hosts: [shop.example], origins: ['https://app.example']}"

    @Test(
        arguments: [
            ("shop.example", [], "protected 192.0.2.1"), ("shop.example:8080", [], "protected 192.0.2.1"),
            ("evil.example", [], "403 host_not_allowed, refusal 192.0.2.1"),
            ("shop.example", ["Origin: https://app.example"], "protected 192.0.2.1"),
            ("shop.example", ["Origin: HTTPS://APP.EXAMPLE"], "protected 192.0.2.1"),
            ("shop.example", ["Origin: http://app.example"], "403 origin_not_allowed, refusal 192.0.2.1"),
            ("shop.example", ["Origin: null"], "403 origin_not_allowed, refusal 192.0.2.1"),
            ("shop.example", ["Origin:"], "403 origin_not_allowed, refusal 192.0.2.1"),
            (
                "shop.example", ["Origin: https://app.example", "Origin: https://evil.example"],
                "403 origin_not_allowed, refusal 192.0.2.1"
            ),
        ] as [(String, [String], String)])
    func keepsOutForeignPagesAndNames(host: String, fields: [String], expected: String) throws {
        let triaged = try Triaged(["POST /mcp HTTP/1.1", "Host: \(host)"] + fields, by: Self.guarded)
        #expect(triaged.description == expected)
        #expect(triaged.triage.intake != nil)
    }

    // MARK: Charged

    private static let priced = """
        routes:
          - {path: /mcp, mcp: true, scopes: [mcp], tool_scopes: {"db_*": [read], "*_drop": [write]}}
        policies:
          - {name: all, per: org, limit: 10/1s, cost: {render: 5}}
          - {name: tools, per: org, limit: 10/1s, match: {tools: ["db_*"]}}
          - {name: prompts, per: org, limit: 10/1s, match: {prompts: ["*"]}}
          - {name: lists, per: org, limit: 10/1s, match: {mcp_methods: ["*/list"]}}
        """

    private static func call(_ tool: String) -> String {
        #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)"}}"#
    }

    @Test(arguments: [
        (call("add"), "all 1"), (call("render"), "all 5"), (call("db_read"), "all 1, tools 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, "all 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}"#, "all 1, prompts 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "all 1, lists 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#, "all 0, handshake 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, "all 0, handshake 1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}"#, "all 1, open-streams 1"),
        (#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "all 0"),
        (#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "all 0"),
        (#"{"jsonrpc":"2.0","method":"tools/list"}"#, "all 1, lists 1"),
        ("[\(call("render")),\(call("db_read"))]", "all 6, tools 1"),
        (#"[{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","method":"notifications/x"}]"#, "all 1"),
    ])
    func chargesWhatTheMessageAsksFor(body: String, policies: String) throws {
        var incoming = try Incoming(posting: [], by: Self.priced)
        let ending = incoming.read(body)
        #expect(incoming.text(ending) == policies)
    }

    @Test func withoutAKeyAHandshakeIsACall() throws {
        var incoming = try Incoming("POST /mcp", ["Content-Length: 9"], by: Self.priced)
        let ending = incoming.read(#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#)
        #expect(incoming.text(ending) == "all 1, handshake 1")
    }

    @Test(
        arguments: [
            (call("add"), ["add"], ["mcp"]), (call("db_read"), ["db_read"], ["mcp", "read"]),
            (call("db_drop"), ["db_drop"], ["mcp", "read", "write"]),
            ("[\(call("x_drop")),\(call("db_x"))]", ["x_drop", "db_x"], ["mcp", "write", "read"]),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}"#, [nil], ["mcp", "read", "write"]),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, [], ["mcp"]),
        ] as [(String, [String?], [String])])
    func asksForTheToolsAndTheirScopes(body: String, tools: [String?], scopes: [String]) throws {
        var incoming = try Incoming(posting: [], by: Self.priced)
        guard case .ask(let request) = incoming.read(body) else { return #expect(Bool(false)) }
        #expect(request.tools.map { $0.map { String(decoding: $0, as: UTF8.self) } } == tools)
        #expect(request.scopes == scopes)
    }

    @Test(
        arguments: [
            (plain, [], nil), (plain, ["Mcp-Session-Id: s"], "s"), (plain, ["Mcp-Session-Id: s", modern], nil),
            (plain + "\nmcp: {bind_sessions: false}", ["Mcp-Session-Id: s"], nil),
        ] as [(String, [String], String?)])
    func asksWhoseSessionItIs(configuration: String, fields: [String], session: String?) throws {
        var incoming = try Incoming(posting: fields, by: configuration)
        guard case .ask(let request) = incoming.read("{}") else { return #expect(Bool(false)) }
        #expect(request.session == session.map { Array($0.utf8) })
    }

    // MARK: What can't be read

    private static let resources = """
        routes: [{path: /mcp, mcp: true}]
        policies: [{name: files, per: org, limit: 10/1s, match: {resources: ["file:*"]}}]
        """

    @Test(
        arguments: [
            (plain, "{", nil), (plain, "junk", nil), (plain, "[NaN]", "400"), (plain, "\u{FEFF}{}", "400"),
            (plain, "", nil),
            // The same key twice may be read as either.
            (plain, #"{"method":"a","method":"b"}"#, "400"), (plain, #"{"Method":"a"}"#, "400"),
            // Where rules depend on what it says nothing passes unread.
            (priced, "{", "400"), (priced, "junk", "400"),
            (resources, #"{"id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#, nil),
            (resources, #"{"id":1,"method":"resources/read","params":{"uri":"FILE:/a/../b"}}"#, "400"),
            (plain, #"{"id":1,"method":"resources/read","params":{"uri":"FILE:/a/../b"}}"#, nil),
        ] as [(String, String, String?)])
    func refusesWhatMayBeReadOtherwise(configuration: String, body: String, status: String?) throws {
        var incoming = try Incoming(posting: [], by: configuration)
        switch incoming.read(body) {
        case .unasked: #expect(Bool(false))
        case .ask: #expect(status == nil)
        case .refuse(let refusal):
            #expect(status == "\(refusal.status)")
            #expect(refusal.reason == .malformedMessage)
            #expect(refusal.detail.hasPrefix("Malformed MCP message: "))
            #expect(refusal.code == -32700)
        }
    }

    @Test func nothingPassesUnreadWhereAKeyHasRules() throws {
        let rules = ToolRules(ToolAccess(allowed: [Glob("add")]), [], of: KeyScopes())
        var incoming = try Incoming(posting: [])
        let ending = incoming.read("junk", rules: rules)
        guard case .refuse = ending else { return #expect(Bool(false)) }
    }
}
