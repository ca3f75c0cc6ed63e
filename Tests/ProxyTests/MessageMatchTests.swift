// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Testing

@testable import Proxy

/// Policies that go by what a message asks for.
@Suite struct MessageMatchTests {
    private static let content = """
        routes: [{path: /mcp, mcp: true}]
        policies:
          - name: search
            per: key
            limit: 10/1h
            cost: {search: 5, free: 0}
            match: {tools: [search, "db_*", free]}
          - {name: prompts, per: key, limit: 10/1h, match: {prompts: ["review_?"]}}
          - {name: files, per: key, limit: 10/1h, match: {resources: ["file:///*"]}}
          - {name: lists, per: key, limit: 10/1h, match: {mcp_methods: ["*/list"]}}

        """
    private static let plain = "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: org, per: org, limit: 20/1h}]\n"

    private func client(
        _ settings: String = content, knowing key: KnownKey = EmbeddedClient.key
    ) throws -> EmbeddedClient {
        try EmbeddedClient(settings + EmbeddedClient.counting, knowing: [key])
    }

    private static func named(_ method: String, _ name: String) -> String {
        EmbeddedClient.message(method, params: #"{"name":"\#(name)"}"#)
    }

    private static func resource(_ uri: String, by method: String = "resources/read") -> String {
        EmbeddedClient.message(method, params: #"{"uri":"\#(uri)"}"#)
    }

    @Test(
        arguments: [
            (EmbeddedClient.call("search"), ["search": 5]), (EmbeddedClient.call("db_read"), ["search": 9]),
            (EmbeddedClient.call("free"), ["search": 10]), (EmbeddedClient.call("other"), [:]),
            (EmbeddedClient.call("Search"), [:]), (named("prompts/get", "review_1"), ["prompts": 9]),
            (named("prompts/get", "review_10"), [:]), (resource("file:///etc/passwd"), ["files": 9]),
            (resource("file:///a", by: "resources/subscribe"), ["files": 9]), (resource("http://a/"), [:]),
            (EmbeddedClient.message("tools/list"), ["lists": 9]),
            (
                "[\(EmbeddedClient.call("search")),\(EmbeddedClient.call("db_a", id: "2")),"
                    + "\(EmbeddedClient.message("tools/list", id: "3"))]", ["search": 4, "lists": 9]
            ),
            (
                #"{"\u006dethod":"tools\/call","id":1,"params":{"na\u006de":"se\u0061rch"}}"#, ["search": 5]
            ),
        ] as [(String, [String: Int])])
    func policiesSeeWhatIsAskedFor(body: String, left: [String: Int]) throws {
        let asked = try client().post(body)
        #expect(asked.answer.status == 200)
        #expect(asked.answer.remaining == left)
        #expect(asked.answer.all("RateLimit").isEmpty == left.isEmpty)
        #expect(asked.body == body)
    }

    /// As they stand in JSON.
    @Test(arguments: ["FILE:///a", "file:/a", "file:///b/../a", "file:///%61", " file:///a", #"file:\\\\\\a"#])
    func noSpellingOfAResourceGoesAroundItsLimit(uri: String) throws {
        let client = try client()
        let refused = try client.post(Self.resource(uri)).answer
        #expect(refused.status == 400)
        #expect(refused.body.hasPrefix(#"{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"#))
        #expect(client.handlers.isEmpty)
        // Where nobody asks about resources it is the handler's business.
        #expect(try self.client(Self.plain).post(Self.resource(uri)).answer.status == 200)
    }

    @Test func aBatchIsDecidedWhole() throws {
        let client = try client()
        #expect(try client.post(EmbeddedClient.call("search")).answer.remaining == ["search": 5])
        let (list, notice) = (
            EmbeddedClient.message("tools/list", id: "2"), EmbeddedClient.message("notifications/x", id: nil)
        )
        let calls = (EmbeddedClient.call("search", id: #""a""#), EmbeddedClient.call("db_a", id: "3"))
        let refused = try client.post("[\(calls.0),\(notice),\(list),\(calls.1)]")
        #expect(refused.answer.status == 200)
        #expect(refused.forwarded == [])
        let result =
            #""result":{"content":[{"type":"text","text":"Rate limit exceeded: retry in 360 s"}],"isError":true}"#
        let each = refused.answer.body.split(separator: #"{"jsonrpc":"2.0","#).dropFirst()
        #expect(each.count == 3)
        #expect(
            refused.answer.body.hasPrefix(#"[{"jsonrpc":"2.0","id":"a",\#(result)},{"jsonrpc":"2.0","id":2,"error":{"#))
        #expect(refused.answer.body.hasSuffix(#",{"jsonrpc":"2.0","id":3,\#(result)}]"#))
        #expect(try client.post(EmbeddedClient.call("search")).answer.remaining == ["search": 0])
    }

    // MARK: Fields

    private static let dear = """
        routes: [{path: /mcp, mcp: true}]
        policies: [{name: dear, per: key, limit: 10/1h, cost: {dear: 5}, match: {tools: [dear]}}]

        """
    private static let trusting = "mcp: {trust_mcp_headers: true}\n"

    private static func fields(_ name: String, _ version: String = EmbeddedClient.modern) -> [String] {
        [version, "Mcp-Method: tools/call", "Mcp-Name: \(name)"]
    }

    @Test func fieldsAreNotBelievedUnlessTold() throws {
        let (call, cheap) = (EmbeddedClient.call("dear"), Self.fields("cheap"))
        #expect(
            try client(Self.dear + "mcp: {trust_mcp_headers: false}\n").post(call, cheap).answer.remaining == [
                "dear": 5
            ])
        let trusting = try client(Self.dear + Self.trusting)
        #expect(try trusting.post(call, cheap).answer.all("RateLimit") == [])
        // A name that a field can't hold comes encoded.
        #expect(
            try trusting.post(call, Self.fields("=?base64?ZGVhcg==?=")).answer.remaining == ["dear": 5])
        // Before this version nobody compares the fields, so they are no word.
        let legacy = Self.fields("dear", "MCP-Protocol-Version: 2025-11-25")
        #expect(try trusting.post(EmbeddedClient.call("cheap"), legacy).answer.all("RateLimit") == [])
    }

    /// Octets of a field, one a character.
    @Test(arguments: [
        "caf\u{e9}", "caf\u{c3}\u{a9}", "=?base64?Y2Fm6Q==?=", "=?base64?Y2Fmw6l=?=", "=?BASE64?Y2Fmw6k=?=",
        "=?utf-8?Q?caf=C3=A9?=",
    ])
    func aFieldThatMayBeReadOtherwiseIsNotBelieved(name: String) throws {
        var barred = EmbeddedClient.key
        barred.fields = [.tools: "!caf\u{e9}"]
        let client = try client("routes: [{path: /mcp, mcp: true}]\n" + Self.trusting, knowing: barred)
        let body = Array(EmbeddedClient.call("caf\u{e9}").utf8)
        let head =
            (["POST /mcp HTTP/1.1", "Host: a", "X-API-Key: \(barred.text)", "Content-Length: \(body.count)"]
            + Self.fields(name)).joined(separator: "\r\n") + "\r\n\r\n"
        try client.send(octets: head.unicodeScalars.map { try #require(UInt8(exactly: $0.value)) } + body)
        let answers = try client.answers()
        #expect(answers.map(\.status) == [200])
        #expect(answers[0].body.contains(#""error":{"code":40300,"message":"Tool 'caf\#u{e9}' not allowed""#))
        #expect(client.handlers.isEmpty)
    }
}
