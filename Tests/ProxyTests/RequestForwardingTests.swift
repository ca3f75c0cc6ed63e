// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import Testing

@testable import Proxy

/// Heads as handlers get them, line by line.
@Suite struct RequestForwardingTests {
    private static let trusting = "trusted_proxies: [10.0.0.0/8, unix]"

    @Test func aHeadIsTheClientsOwnAndOurs() throws {
        var forwarded = ForwardedRequest()
        forwarded.request = "POST /x?y=1"
        forwarded.fields = ["X-API-Key: mcp_a", "accept:  */*", "Content-Length: 5", "X-Custom: 1"]
        forwarded.principal = Principal(organization: "acme", keyID: "acme/abcdefghij")
        #expect(
            try forwarded.lines() == [
                "POST /x?y=1 HTTP/1.1", "Host: handler:8000", "accept:  */*", "X-Custom: 1", "Content-Length: 5",
                "X-Correlation-ID: c1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http",
                "X-Forwarded-Host: shop.example", "Via: 1.1 tollgate", "X-Tollgate-Org: acme",
                "X-Tollgate-Key-Id: acme/abcdefghij",
            ])
    }

    /// Long ones too: what is put together has room for all of them.
    @Test func whatIsNotedComesLast() throws {
        let (tier, region) = try (#require(MetaField("tier")), #require(MetaField("home_region")))
        let long = String(repeating: "x", count: MetaField.longestValue)
        var forwarded = ForwardedRequest(
            fields: ["X-Tollgate-Meta-tier: none"], principal: Principal(organization: "acme", keyID: "acme/abcdefghij")
        )
        forwarded.meta = [MetaValue(tier, "gold"), MetaValue(region, long)]
        #expect(
            try forwarded.lines().suffix(3) == [
                "X-Tollgate-Key-Id: acme/abcdefghij", "X-Tollgate-Meta-tier: gold",
                "X-Tollgate-Meta-home-region: \(long)",
            ])
        #expect(try !forwarded.lines().contains("X-Tollgate-Meta-tier: none"))
    }

    @Test(
        arguments: [
            ("GET http://shop.example", nil, "GET / HTTP/1.1"), ("GET http://shop.example?a", nil, "GET /?a HTTP/1.1"),
            ("OPTIONS *", nil, "OPTIONS * HTTP/1.1"), ("BREW /%7Ex", nil, "BREW /%7Ex HTTP/1.1"),
            ("POST /mcp", "/mcp/?x", "POST /mcp/?x HTTP/1.1"),
        ] as [(String, String?, String)])
    func theTargetIsTheClientsOwnSpelling(request: String, target: String?, line: String) throws {
        let forwarded = ForwardedRequest(request: request, target: target)
        #expect(try forwarded.lines().first == line)
    }

    // MARK: What ends here

    @Test(arguments: [
        // Hop by hop (RFC 9110 §7.6.1).
        "Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: close", "Proxy-Authorization: Basic x",
        "TE: trailers", "Upgrade: h2c", "HTTP2-Settings: x",
        // Who says so is Tollgate.
        "X-Tollgate-Org: other", "x-tollgate-key-id: other/x", "X_Tollgate_Org: other", "X-Tollgate-Scopes: admin",
        "X-Tollgate-Meta-Tier: gold", "x_tollgate_meta_tier: gold", "X-Tollgate-Meta.Tier: gold",
        "X-Correlation-ID: theirs",
        // What chooses for the handler.
        "X-Original-URL: /mcp", "X-HTTP-Method-Override: DELETE", "Proxy: http://evil.example", "X.Custom: 1",
        "X_Custom: 1", "Content_Length: 5", "X-My-Root-Path: /x",
        // What proxies say, of a peer that is none.
        "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9",
        "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /x",
        "CF-Connecting-IP: 203.0.113.9",
        // Keys, in whatever form.
        "X-API-Key: mcp_a", "Authorization: Bearer mcp_a", "Authorization: Basic mcp_a", "X_API_Key: mcp_a",
    ])
    func endsHere(field: String) throws {
        #expect(try ForwardedRequest(fields: [field]).kept() == [])
    }

    @Test(arguments: [
        "X-Custom: 1", "Authorization: Basic bWNwX2I6eA==", "X-API-Key: theirs", "Cookie: a=b", "Expect: 100-continue",
        "Accept-Encoding: gzip", "Mcp-Session-Id: s", "Origin: https://app.example", "Proxy-Name: 1", "Tollgate-X: 1",
    ])
    func passes(field: String) throws {
        #expect(try ForwardedRequest(fields: [field]).kept() == [field])
    }

    @Test func fieldsThatConnectionNamesEnd() throws {
        let forwarded = ForwardedRequest(fields: ["Connection: close, X-One", "X-One: 1", "X-Two: 2"])
        #expect(try forwarded.kept() == ["X-Two: 2"])
    }

    @Test func fieldsThatAreListedPass() throws {
        var forwarded = ForwardedRequest(
            settings: "upstream: {forward_fields: [X-Original-URL, X-Real-IP]}",
            fields: ["X-Original-URL: /y", "X-Real-IP: 203.0.113.9", "X_Original_URL: /z", "X-Rewrite-URL: /y"])
        #expect(try forwarded.kept() == ["X-Original-URL: /y", "X-Real-IP: 203.0.113.9"])
        forwarded.settings = "{}"
        #expect(try forwarded.kept() == [])
    }

    @Test func keysPassWhereTheHandlerJudgesThemToo() throws {
        let forwarded = ForwardedRequest(settings: "keys: {forward: true}", fields: ["X-API-Key: mcp_a"])
        #expect(try forwarded.kept() == ["X-API-Key: mcp_a"])
    }

    // MARK: Who the client is

    @Test(
        arguments: [
            (
                "192.0.2.1", [],
                ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: shop.example"]
            ),
            (
                "192.0.2.1", ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"],
                ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: shop.example"]
            ),
            (
                "10.0.0.1", ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For:", "x-forwarded-for: 10.0.0.2"],
                [
                    "X-Forwarded-For: 203.0.113.9, 10.0.0.2, 10.0.0.1", "X-Forwarded-Proto: http",
                    "X-Forwarded-Host: shop.example",
                ]
            ),
            (
                "10.0.0.1", ["X-Forwarded-Proto: https", "X-Forwarded-Host: public.example", "X-Forwarded-Prefix: /x"],
                [
                    "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example", "X-Forwarded-Prefix: /x",
                    "X-Forwarded-For: 10.0.0.1",
                ]
            ),
            ("unix", [], ["X-Forwarded-Proto: http", "X-Forwarded-Host: shop.example"]),
            (
                "unix", ["X-Forwarded-For: 203.0.113.9"],
                ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http", "X-Forwarded-Host: shop.example"]
            ),
        ] as [(String, [String], [String])])
    func aTrustedPeerNamesTheClient(peer: String, fields: [String], expected: [String]) throws {
        let forwarded = ForwardedRequest(settings: Self.trusting, fields: fields, peer: peer)
        #expect(try forwarded.lines().filter { $0.hasPrefix("X-Forwarded-") } == expected)
    }

    @Test func theFieldThatNamesTheClientIsForTrustedPeers() throws {
        var forwarded = ForwardedRequest(
            settings: Self.trusting + "\nclient_address: X-Client", fields: ["X-Client: 203.0.113.9"])
        #expect(try forwarded.kept() == [])
        forwarded.peer = "10.0.0.1"
        #expect(try forwarded.kept() == ["X-Client: 203.0.113.9"])
    }

    // MARK: Framing

    @Test(
        arguments: [
            ("GET /x", [], []), ("POST /x", ["Content-Length: 0"], ["Content-Length: 0"]),
            ("POST /x", ["Transfer-Encoding: Chunked"], ["Transfer-Encoding: chunked"]),
            // A handler may not read such a body, and would take it for a request.
            ("GET /x", ["Content-Length: 5"], ["Content-Length: 5", "Connection: close"]),
            ("DELETE /x", ["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Connection: close"]),
        ] as [(String, [String], [String])])
    func theBodyIsFramedAnew(request: String, fields: [String], expected: [String]) throws {
        #expect(try ForwardedRequest(request: request, fields: fields).kept() == expected)
    }

    @Test func aSwitchOfProtocolsIsAskedForAnew() throws {
        let fields = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13"]
        #expect(
            try ForwardedRequest(fields: fields).kept() == [
                "Sec-WebSocket-Version: 13", "Connection: Upgrade", "Upgrade: websocket",
            ])
        #expect(try ForwardedRequest(request: "POST /x", fields: fields).kept() == ["Sec-WebSocket-Version: 13"])
    }

    // MARK: Messages

    @Test func whatIsReadHereIsNotEncodedNorExpected() throws {
        var forwarded = ForwardedRequest(
            fields: ["Expect: 100-continue", "Accept-Encoding: gzip", "Mcp-Session-Id: s", "X-Custom: 1"])
        #expect(try forwarded.kept().count == 4)
        forwarded.holdsBody = true
        #expect(try forwarded.kept() == ["Accept-Encoding: gzip", "Mcp-Session-Id: s", "X-Custom: 1"])
        forwarded.readsAnswer = true
        #expect(try forwarded.kept() == ["Mcp-Session-Id: s", "X-Custom: 1"])
        forwarded.hasIdleSession = true
        #expect(try forwarded.kept() == ["X-Custom: 1"])
    }

    @Test func aJudgedPageIsTheHandlersOwn() throws {
        var forwarded = ForwardedRequest(fields: ["Origin: https://app.example", "Origin: https://app.example"])
        forwarded.hasJudgedOrigin = true
        #expect(try forwarded.kept() == ["Origin: http://handler:8000"])
        forwarded.fields = []
        #expect(try forwarded.kept() == [])
    }

    @Test func aPreflightBringsNoCredential() throws {
        var forwarded = ForwardedRequest(
            request: "OPTIONS /x",
            fields: ["Origin: https://app.example", "Cookie: a=b", "X-API-Key: theirs", "Authorization: Basic x"])
        forwarded.isOpenPreflight = true
        #expect(try forwarded.kept() == ["Origin: https://app.example"])
    }
}
