// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Proxy

/// Answers that no handler is asked for.
extension HTTP1ConnectionTests {
    private static func configuration(_ lines: String) -> String {
        """
        routes:
          - {path: "/open/{rest*}", public: true, throttle: false}
          - {path: "/keyed", methods: [GET]}
        upstream: {url: "http://127.0.0.1:1"}
        \(lines)
        """
    }

    @Test(arguments: [
        ("https://app.example", "Access-Control-Allow-Origin: https://app.example\r\n"), ("https://evil.example", ""),
    ])
    func aPreflightIsAnsweredHere(origin: String, allowed: String) throws {
        let client = try EmbeddedClient(Self.configuration("cors: {allow_origins: [\"https://app.example\"]}"))
        try client.send(
            "OPTIONS /keyed HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\nAccess-Control-Request-Method: GET\r\n\r\n")
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\nDate: now\r\n"))
        #expect(allowed.isEmpty ? !answer.contains("Allow-Origin") : answer.contains(allowed))
        #expect(answer.hasSuffix("X-Correlation-ID: id\r\n\r\n"))
        #expect(client.handlers.isEmpty && client.isOpen)
    }

    @Test(arguments: ["GET", "HEAD"])
    func whoIssuesTokensIsToldHere(method: String) throws {
        let client = try EmbeddedClient(
            """
            routes: [{path: "/mcp", mcp: true}]
            mcp:
              resource_metadata:
                {resource: "https://a.example/mcp", authorization_servers: ["https://issuer.example"]}
            """)
        try client.send("\(method) /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nHost: a.example\r\n\r\n")
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: application/json\r\n"))
        #expect(answer.contains("https://issuer.example") == (method == "GET"))
        #expect(answer.contains("\r\nAccess-Control-Allow-Origin: *\r\n"))
    }

    @Test func whoDrainsSaysSoInEveryAnswer() throws {
        let client = try EmbeddedClient(Self.configuration("cors: {allow_origins: [\"https://app.example\"]}"))
        client.loop.announceDrain()
        try client.send(
            "OPTIONS /keyed HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nAccess-Control-Request-Method: GET\r\n\r\n")
        #expect(try client.received().contains("\r\nConnection: close\r\n"))
    }

    @Test func aPageThatCannotReadItsRefusalIsToldOf() throws {
        let client = try EmbeddedClient(Self.configuration(""))
        try client.send("GET /keyed HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n\r\n")
        #expect(try client.statuses() == [401])
        #expect(client.log.lines.filter { $0.contains("list its origin in cors.allow_origins") }.count == 1)
    }

    @Test func aProxyThatNamesNobodyIsToldOf() throws {
        let client = try EmbeddedClient(Self.configuration("trusted_proxies: [192.0.2.0/24]"))
        try client.send(Self.missing + Self.missing)
        #expect(try client.statuses() == [401, 401])
        #expect(
            client.log.lines.filter {
                $0.hasPrefix("notice a trusted proxy names no client") && $0.contains("peer=192.0.2.1")
                    && $0.contains("missing=X-Forwarded-For")
            }.count == 1)
    }

    // MARK: Limits

    private static let limited = """
        routes: [{path: "/open/{rest*}", public: true}]
        upstream: {url: "http://127.0.0.1:1"}
        redis: {on_failure: local, local_share: 1}
        """

    @Test func whoHasNothingLeftIsRefused() throws {
        let client = try EmbeddedClient(
            Self.limited + "\npolicies: [{name: guests, per: address, limit: 1/1m}]\nloops: 1\n")
        try client.send(Self.get)
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let first = try client.received()
        #expect(first.contains("\r\nX-RateLimit-Limit: 1\r\n") && first.contains("\r\nX-RateLimit-Remaining: 0\r\n"))
        try client.send(Self.get)
        let second = try client.received()
        #expect(second.hasPrefix("HTTP/1.1 429 Too Many Requests\r\n"))
        #expect(second.contains("\r\nRetry-After: 60\r\n"))
        #expect(second.contains("\r\nX-RateLimit-Remaining: 0\r\n"))
        #expect(client.isOpen)
    }

    /// It has had what there was, and asks again.
    private static func waiting() throws -> EmbeddedClient {
        let client = try EmbeddedClient(
            limited + "\npolicies: [{name: guests, per: address, limit: 1/1s, wait: 2s}]\nloops: 1\n")
        try client.send(get)
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        _ = try (client.received(), client.forwarded())
        try client.send(get)
        return client
    }

    @Test func whoMayWaitIsServedInTime() throws {
        let client = try Self.waiting()
        #expect(try client.forwarded() == "")
        client.advance(by: .milliseconds(1100))
        #expect(try client.forwarded().hasPrefix("GET /open/a HTTP/1.1\r\n"))
    }

    @Test func whoLeavesWhileItWaitsIsForwardedToNobody() throws {
        let client = try Self.waiting()
        weak let exchange = client.connection.exchange
        #expect(exchange != nil)
        client.channel.close(promise: nil)
        client.eventLoop.run()
        // Nor is it kept until its time would have come.
        #expect(exchange == nil)
        client.advance(by: .milliseconds(1100))
        #expect(try client.forwarded() == "")
    }
}
