// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Testing

@testable import Proxy

/// Messages that can't be read, or in two ways, and the bodies they come in.
@Suite struct MessageReadingTests {
    private static let plain = "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: org, per: org, limit: 20/1h}]\n"

    private func client(
        _ settings: String = plain, knowing key: KnownKey = EmbeddedClient.key
    ) throws -> EmbeddedClient {
        try EmbeddedClient(settings + EmbeddedClient.counting, knowing: [key])
    }

    // MARK: Ambiguity

    private static let batch = #"[{"method":"ping","id":1}]"#

    @Test(arguments: [
        (#"{"method":"ping","id":1,"method":"tools/call"}"#, "member 'method' given twice"),
        (#"{"method":"ping","id":1,"result":{}}"#, "message is both request and response"),
        (#"{"Method":"tools/call","id":1}"#, "a member's name differs from 'method' in letter case only"),
        (#"{"method":"tools/call","id":1,"params":{"name":"a","name":"b"}}"#, "member 'name' given twice"),
        ("[[]]", "batch within a batch"), (#"[{"method":"ping","id":NaN}]"#, "unexpected octet at offset 23"),
        ("\u{feff}" + batch, "unexpected octet at offset 0"),
        // In UTF-16, of both orders.
        (batch.map { "\($0)\0" }.joined(), "unexpected octet at offset 1"),
        (batch.map { "\0\($0)" }.joined(), "unexpected octet at offset 0"),
        (String(repeating: "[", count: 65), "batch within a batch"),
        (String(repeating: #"{"a":"#, count: 65), "nested more than 64 levels deep"),
    ])
    func whatMayBeReadOtherwiseIsRefused(body: String, detail: String) throws {
        let client = try client()
        try client.post(body).answer.expectMessage(
            400, "Bad Request", "Malformed MCP message: \(detail)", code: -32700)
        #expect(client.handlers.isEmpty)
        #expect(try client.post(EmbeddedClient.call("a")).answer.remaining == ["org": 19])
    }

    private static let ruled = KnownKey(text: EmbeddedClient.key.text, fields: [.tools: "a"])

    @Test(arguments: [
        (
            "routes: [{path: /mcp, mcp: true}]\n"
                + "policies: [{name: search, per: key, limit: 10/1h, match: {tools: [search]}}]\n",
            EmbeddedClient.key, "no JSON"
        ),
        (
            "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: org, per: org, limit: 20/1h, cost: {dear: 5}}]\n",
            EmbeddedClient.key, #"{"method":"tools/call","id":1,"params":{"name":"dear","x":NaN}}"#
        ),
        (plain, ruled, "no JSON"),
    ])
    func whatIsNoJSONIsRefusedWhereItMatters(settings: String, key: KnownKey, body: String) throws {
        let client = try client(settings, knowing: key)
        #expect(try client.post(body, by: key).answer.status == 400)
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: [
        ["Content-Encoding: gzip"], ["Content-Encoding: identity, gzip"],
        ["Content-Encoding: identity", "Content_Encoding: deflate"],
        ["Content-Encoding: identity", "content-encoding: deflate"], ["Content-Type: application/json; charset=utf-7"],
        [#"Content-Type: application/json;CHARSET = "utf-16""#],
    ])
    func whatIsEncodedIs415(fields: [String]) throws {
        let client = try client()
        let own = ["X-API-Key: \(EmbeddedClient.key.text)"]
        let answer = try client.ask("POST /mcp", own + fields, body: EmbeddedClient.call("a")).answer
        #expect(answer.status == 415)
        #expect(answer.body.hasPrefix(#"{"jsonrpc":"2.0","id":null,"error":{"code":41500,"#))
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: ["Content-Encoding: identity", "Content-Type: application/json; charset=UTF-8"])
    func whatIsNotEncodedIsRead(field: String) throws {
        let own = ["X-API-Key: \(EmbeddedClient.key.text)", field]
        #expect(try client().ask("POST /mcp", own, body: EmbeddedClient.call("a")).answer.status == 200)
    }

    @Test(arguments: [
        ["Mcp-Session-Id: a", "Mcp-Session-Id: b"], ["Mcp_Session_Id: a"], ["MCP-Protocol_Version: 2026-07-28"],
        ["Mcp-Method: a", "mcp-method: a"],
    ])
    func fieldsThatAreReadTwoWaysAre400(fields: [String]) throws {
        let client = try client()
        #expect(try client.post("{}", fields).answer.status == 400)
        #expect(client.handlers.isEmpty)
    }

    // MARK: The body

    private static func head(_ fields: String...) -> String {
        (["POST /mcp HTTP/1.1", "Host: a"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    }

    private static let own = "X-API-Key: \(EmbeddedClient.key.text)"

    /// A stranger's body isn't even asked for.
    @Test func theCredentialComesFirst() throws {
        let client = try client()
        try client.send(Self.head("Expect: 100-continue", "Content-Length: 1000000"))
        #expect(try client.answers().map(\.status) == [401])
        let known = try EmbeddedClient(besides: client)
        try known.send(Self.head(Self.own, "Expect: 100-continue", "Content-Length: 2"))
        #expect(try known.answers().map(\.status) == [100])
        #expect(client.handlers.isEmpty)
        try known.send("{}")
        let sent = try known.handler.taken()
        #expect(sent.hasSuffix("\r\n\r\n{}") && !sent.lowercased().contains("expect"))
        try known.handler.send(EmbeddedClient.ok)
        #expect(try known.answers().map(\.status) == [200])
    }

    @Test func aLongBodyArrivesAsItWasSent() throws {
        let body = #"{"jsonrpc":"2.0","method":"tools/call","padding":"\#(String(repeating: "x", count: 300_000))"}"#
        let client = try client()
        try client.send(Self.head(Self.own, "Content-Length: \(body.utf8.count)") + body, inPiecesOf: 7001)
        let sent = try client.handler.taken()
        #expect(sent.hasSuffix("\r\n\r\n" + body))
        #expect(sent.contains("\r\nContent-Length: \(body.utf8.count)\r\n"))
    }

    @Test func aLongBodyInChunksArrivesAsItWasSent() throws {
        let piece = String(repeating: "x", count: 7001)
        let parts =
            [#"{"jsonrpc":"2.0","method":"tools/call","padding":""#] + Array(repeating: piece, count: 42) + ["\"}"]
        let client = try client()
        try client.send(Self.head(Self.own, "Transfer-Encoding: chunked"))
        for part in parts { try client.send(String(part.utf8.count, radix: 16) + "\r\n\(part)\r\n") }
        #expect(client.handlers.isEmpty)
        try client.send("0\r\nX-Trailer: t\r\n\r\n")
        let sent = try client.handler.taken()
        let end = try #require(sent.firstRange(of: "\r\n\r\n"))
        #expect(!sent[..<end.lowerBound].lowercased().contains("content-length"))
        // Its chunks are framed anew.
        let payload = sent[end.upperBound...].split(separator: "\r\n", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map(\.element).joined()
        #expect(payload.hasPrefix(parts.joined()))
        try client.handler.send(EmbeddedClient.ok)
        #expect(try client.answers().map(\.status) == [200])
    }

    @Test func aMessageBeyondItsBoundIs413() throws {
        let settings = "routes: [{path: /mcp, mcp: true}, {path: /files}]\nlimits: {mcp_body_bytes: 1KiB}\n"
        let client = try client(settings)
        let long = String(repeating: " ", count: 2048)
        #expect(try client.post(String(long.prefix(1025))).answer.status == 413)
        let chunked = try EmbeddedClient(besides: client)
        try chunked.send(Self.head(Self.own, "Transfer-Encoding: chunked") + "800\r\n\(long)")
        let answers = try chunked.answers()
        #expect(answers.map(\.status) == [413])
        #expect(answers[0].body.contains(#""error":{"code":41300,"message":"Request body exceeds 1024 bytes","#))
        #expect(client.handlers.isEmpty)
        // Other routes have the bound of all bodies.
        let other = try EmbeddedClient(besides: client)
        #expect(try other.post(String(long.prefix(1025)), to: "/files").answer.status == 200)
    }

    @Test func whoLeavesInMidBodyPaysNothing() throws {
        let client = try client()
        try client.send(Self.head(Self.own, "Content-Length: 100") + #"{"method""#)
        client.leave()
        let other = try EmbeddedClient(besides: client)
        #expect(try other.post(EmbeddedClient.call("a")).answer.remaining == ["org": 19])
        #expect(client.handlers.count == 1)
    }
}
