// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

/// How callers of an `mcp` route are told that there is nothing left, in the words that their clients survive.
@Suite struct MessageRefusalTests {
    private static func settings(_ policy: String, mcp: String = "{}") -> String {
        "routes: [{path: /mcp, mcp: true}]\npolicies: [\(policy)]\nmcp: \(mcp)\n" + EmbeddedClient.counting
    }

    private static func empty(_ more: String = "") -> String { "{name: org, per: org, limit: 1/1h\(more)}" }

    private static let words = "Rate limit exceeded: retry in 3600 s"
    private static let result = #""content":[{"type":"text","text":"\#(words)"}],"isError":true}"#

    private static func error(_ id: String) -> String {
        """
        {"jsonrpc":"2.0","id":\(id),"error":{"code":42900,"message":"\(words)","data":{\
        "type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",\
        "status":429,"detail":"Rate limit exceeded","correlation_id":"id","violated-policies":["org"],\
        "retryAfter":3600,"retryAfterMs":3600000,"rateLimitRemaining":0}}}
        """
    }

    private static let list = "tools/list"

    @Test(
        arguments: [
            (
                EmbeddedClient.call("a", id: #""x""#), [], "auto", 200,
                #"{"jsonrpc":"2.0","id":"x","result":{\#(result)}"#
            ),
            (EmbeddedClient.message(list, id: "2"), [], "auto", 200, error("2")),
            (
                EmbeddedClient.message(list, id: "-1.5e3"), ["MCP-Protocol-Version: 2025-11-25"], "auto", 200,
                error("-1.5e3")
            ),
            (EmbeddedClient.call("a", id: "3"), [EmbeddedClient.modern], "auto", 429, error("3")),
            ("no JSON", [], "auto", 429, error("null")),
            (EmbeddedClient.call("a", id: "4"), [], "http", 429, error("4")),
            (EmbeddedClient.call("a", id: "5"), [], "jsonrpc", 200, error("5")),
            (EmbeddedClient.call("a", id: "6"), [EmbeddedClient.modern], "jsonrpc", 200, error("6")),
            (
                EmbeddedClient.call("a", id: "7"), [EmbeddedClient.modern], "tool_error", 200,
                #"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete",\#(result)}"#
            ),
            (EmbeddedClient.message(list, id: "8"), [], "tool_error", 200, error("8")),
        ] as [(String, [String], String, Int, String)], [true, false])
    func aDenialIsToldAsTheClientSurvivesIt(
        _ row: (body: String, fields: [String], reject: String, status: Int, told: String), isSaidByPolicy: Bool
    ) throws {
        let settings =
            isSaidByPolicy
            ? Self.settings(Self.empty(", reject: \(row.reject)"))
            : Self.settings(Self.empty(), mcp: "{reject: \(row.reject)}")
        let client = try EmbeddedClient(settings, knowing: [EmbeddedClient.key], isLogged: true)
        #expect(try client.post(EmbeddedClient.call("a")).answer.status == 200)
        let asked = try client.post(row.body, row.fields + ["X-Correlation-ID: id"])
        #expect(asked.answer.status == row.status)
        #expect(asked.answer["Content-Type"] == "application/json")
        #expect(asked.answer["X-RateLimit-Limit"] == "1")
        #expect(asked.answer["X-RateLimit-Remaining"] == "0")
        #expect(asked.answer["Retry-After"] == "3600")
        #expect(asked.answer.body == row.told)
        #expect(asked.forwarded == [])
    }

    @Test func aPolicyMayGoBackToAuto() throws {
        let client = try EmbeddedClient(
            Self.settings(Self.empty(", reject: auto"), mcp: "{reject: http}"), knowing: [EmbeddedClient.key])
        #expect(try client.post(EmbeddedClient.call("a")).answer.status == 200)
        let refused = try client.post(EmbeddedClient.call("a"))
        #expect(refused.answer.status == 200)
        #expect(refused.forwarded == [])
    }

    @Test func aCostThatNeverFitsIsToldInBand() throws {
        let client = try EmbeddedClient(
            Self.settings("{name: dear, per: key, limit: 5/1h, cost: {dear: 5}}"), knowing: [EmbeddedClient.key])
        let calls = (EmbeddedClient.call("dear"), EmbeddedClient.call("dear", id: "2"))
        let text = #"[{"type":"text","text":"Cost 10 exceeds the capacity 5 of policy dear"}],"isError":true}"#
        let legacy = try client.post("[\(calls.0),\(calls.1)]").answer
        #expect(legacy.status == 200)
        #expect(
            legacy.body == #"[{"jsonrpc":"2.0","id":1,"result":{"content":\#(text)},"#
                + #"{"jsonrpc":"2.0","id":2,"result":{"content":\#(text)}]"#)
        let modern = try client.post("[\(calls.0),\(calls.1)]", [EmbeddedClient.modern]).answer
        #expect(modern.status == 200)
        #expect(modern.body.hasPrefix(#"[{"jsonrpc":"2.0","id":1,"#))
        #expect(modern.body.contains(#"},{"jsonrpc":"2.0","id":2,"#))
        let list = EmbeddedClient.message(Self.list, id: "2")
        let mixed = try client.post("[\(calls.0),\(list)]", [EmbeddedClient.modern]).answer
        #expect(
            mixed.body.contains(
                #"{"jsonrpc":"2.0","id":2,"error":{"code":40300,"message":"Cost 6 exceeds the capacity 5 of policy dear","#
            ))
        #expect(client.handlers.isEmpty)
    }

    @Test func noRequestWaitsInVain() throws {
        let client = try EmbeddedClient(Self.settings(Self.empty(", wait: 30s")), knowing: [EmbeddedClient.key])
        #expect(try client.post(EmbeddedClient.call("a")).answer.status == 200)
        #expect(try client.post(EmbeddedClient.call("a")).answer.body.contains(#""isError":true"#))
    }
}
