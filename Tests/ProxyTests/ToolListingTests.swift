// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import MCP
import NIOCore
import Settings
import Testing

@testable import Proxy

/// What of an answer a key with rules about tools gets to see.
@Suite struct ToolListingTests {
    private static let rules = ToolRules(ToolAccess(denied: [Glob("no*")]), [], of: KeyScopes())
    private static let list = #"{"id":1,"result":{"tools":[{"name":"a"},{"name":"no"}]}}"#
    private static let shorter = #"{"id":1,"result":{"tools":[{"name":"a"}]}}"#
    private static let json = ["Content-Type: application/json"]
    private static let events = ["Content-Type: text/event-stream"]

    private func listing(
        _ fields: [String], status: Int = 200, asked: String = "tools/list", rules: ToolRules? = Self.rules
    ) throws -> ToolListing? {
        let head = try RoutingHeads.head("/mcp", method: "POST")
        let snapshot = try Snapshot(.parse("routes: [{path: /mcp, mcp: true}]", named: "test.yaml"))
        var message = MessageTraits(head, snapshot.messages)
        message.read(Messages([Message(kind: .request, method: Array(asked.utf8), id: [0x31])]))
        let fields = fields + (fields.contains { $0.hasPrefix("Content-Length") } ? [] : ["Content-Length: 100"])
        return try ToolListing(MessageIntakeTests.response(fields, status: status), to: message, .post, rules)
    }

    private func filtered(_ fields: [String], _ parts: [String], asked: String = "tools/list") throws -> [String] {
        var listing = try #require(try listing(fields, asked: asked))
        var passed: [String] = []
        for part in parts { passed.append(String(buffer: try listing.filter(ByteBuffer(string: part)))) }
        return passed + [String(buffer: try listing.finish())]
    }

    @Test func aTextIsHeldUntilItIsWhole() throws {
        let halves = [String(Self.list.prefix(20)), String(Self.list.dropFirst(20))]
        #expect(try filtered(Self.json, halves) == ["", "", Self.shorter])
        #expect(try filtered(Self.json, ["{}"]) == ["", "{}"])
        // Whatever was asked: clients are told answers apart by their ids alone.
        #expect(try filtered(Self.json, [Self.list], asked: "ping") == ["", Self.shorter])
    }

    @Test func eventsPassAsTheyCome() throws {
        #expect(
            try filtered(Self.events, ["data: \(Self.list)\n\n", "data: x"], asked: "ping").joined()
                == "data: \(Self.shorter)\n\ndata: x")
    }

    @Test(
        arguments: [
            (json, 200, "tools/list", true), (json, 202, "tools/list", true), (json, 404, "tools/list", false),
            (json, 301, "tools/list", false), (json + ["Content-Length: 0"], 200, "tools/list", false),
            (["Content-Type: text/plain"], 200, "tools/list", true), (["Content-Type: text/plain"], 200, "ping", false),
            (["Content-Type: application/problem+JSON"], 200, "ping", true), ([], 200, "ping", true),
            (events, 200, "ping", true),
        ] as [([String], Int, String, Bool)])
    func looksIntoWhatMayHoldAList(fields: [String], status: Int, asked: String, isLooked: Bool) throws {
        #expect(try (listing(fields, status: status, asked: asked) != nil) == isLooked)
        #expect(try listing(fields, status: status, asked: asked, rules: nil) == nil)
    }

    @Test(
        arguments: [
            (json + ["Content-Encoding: gzip"], "tools/list", true), (json + ["Content-Encoding: gzip"], "ping", true),
            (json + ["Content-Encoding: identity"], "ping", false),
            (["Content-Type: application/json; charset=utf-16"], "tools/list", true),
            (["Content-Type: application/json; charset=utf-16"], "ping", false),
        ] as [([String], String, Bool)])
    func whatIsEncodedIsCut(fields: [String], asked: String, isCut: Bool) throws {
        if isCut {
            #expect(throws: ToolListing.Flaw.encoded) { try listing(fields, asked: asked) }
        } else {
            #expect(try listing(fields, asked: asked) != nil)
        }
    }

    @Test func aListThatCannotBeReadIsCut() throws {
        for fields in [Self.json, Self.events] {
            #expect(throws: ToolListing.Flaw.unreadable) { try filtered(fields, ["data: {\"a\":NaN}\n\n"]) }
        }
        #expect(try filtered(Self.json, ["{NaN}"], asked: "ping") == ["", "{NaN}"])
    }

    @Test func aListThatIsTooLongIsCut() throws {
        let long = String(repeating: " ", count: (4 << 20) + 1)
        #expect(throws: ToolListing.Flaw.tooLong) { try filtered(Self.json, [long]) }
        let passed = try filtered(Self.json, [long, "x"], asked: "ping")
        #expect(passed.map(\.utf8.count) == [long.utf8.count, 1, 0])
    }

    // MARK: Rules

    @Test func withoutRulesEveryToolMayBeCalled() {
        #expect(ToolRules(nil, [], of: KeyScopes()) == nil)
    }

    @Test(arguments: [
        ("add", [], true), ("no", [], false), ("db_read", [], false), ("db_read", ["read"], true),
        ("db_drop", ["read"], false), ("db_drop", ["read", "write"], true),
    ])
    func aToolTakesTheScopesOfAllRulesThatMatch(tool: String, scopes: [String], isPermitted: Bool) throws {
        let snapshot = try Snapshot(
            .parse(
                "routes: [{path: /mcp, mcp: true, tool_scopes: {'db_*': [read], '*_drop': [write]}}]",
                named: "test.yaml"))
        let rules = ToolRules(
            ToolAccess(denied: [Glob("no")]), snapshot.plan(of: 0).toolScopes, of: KeyScopes(Set(scopes)))
        #expect(rules?.permits(Array(tool.utf8)) == isPermitted)
    }
}
