// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Proxy

/// Under which names the handler and Tollgate know each other, and which one the client is given.
@Suite struct HandlerNamesTests {
    private static let routes = """
        routes:
          - {path: /api/listings, methods: [GET]}
          - {path: /open, methods: [GET], public: true}
          - {path: /mcp, mcp: true}
        keys: {anonymous: allow}
        redis: {on_failure: open}

        """
    private static let ready = routes + "mcp: {hosts: [], origins: []}\nupstream: {url: 'http://127.0.0.1:8081'}\n"

    /// Of servers that make URLs of what they are sent.
    private func links(_ own: String, _ target: String) -> String {
        """
        HTTP/1.1 307 Temporary Redirect\r
        Content-Length: 0\r
        location: \(own)\(target)/moved\r
        Content-Location: \(own)/content\r
        Refresh: 5; url=\(own)/later\r
        \r

        """
    }

    // MARK: Links

    @Test(
        arguments: [
            ("http://127.0.0.1:8081", "auto", "edge.internal", "127.0.0.1:8081"),
            ("http://127.0.0.1:8081", "upstream", "127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://127.0.0.1:8081", "preserve", "edge.internal", "edge.internal"),
            ("http://127.0.0.1:8081", "inner.example", "inner.example", "inner.example"),
            ("unix:/run/handler.sock", "auto", "edge.internal", "localhost"),
            ("unix:/run/handler.sock", "upstream", "localhost", "localhost"),
            ("unix:/run/handler.sock", "preserve", "edge.internal", "edge.internal"),
            ("unix:/run/handler.sock", "inner.example", "inner.example", "inner.example"),
        ])
    func linksOfTheHandlerLeadToTheEdge(url: String, host: String, listed: String, mcp: String) throws {
        let client = try EmbeddedClient(
            Self.routes + "mcp: {hosts: [], origins: []}\nupstream: {url: '\(url)', host: \(host)}", from: "127.0.0.1")
        let edge = ["Host: edge.internal", "X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https"]
        for (target, own) in [("/api/listings", listed), ("/mcp", mcp)] {
            let asked = try client.ask("GET \(target)", edge, answer: links("https://\(own)", target))
            #expect(asked.forwarded("Host") == [own])
            #expect(asked.forwarded("X-Forwarded-Proto") == ["https"])
            #expect(asked.answer.status == 307)
            #expect(asked.answer.all("Location") == ["https://shop.example\(target)/moved"])
            #expect(asked.answer.all("Content-Location") == ["https://shop.example/content"])
            #expect(asked.answer.all("Refresh") == ["5; url=https://shop.example/later"])
        }
    }

    // MARK: Host

    private static let named = """
        routes:
          - {path: /api/listings}
          - {path: /open, public: true}
          - {path: /mcp, mcp: true}
          - {path: /inner, host: upstream}
          - {path: /named, host: inner.example}
          - {path: /tools, mcp: true, host: preserve}

        """
    private static let unnamed = """
        keys: {anonymous: allow}
        redis: {on_failure: open}
        mcp: {hosts: [], origins: []}
        upstream: {url: "http://127.0.0.1:8081"}

        """

    @Test(arguments: [
        (named, "/mcp", "127.0.0.1:8081"), (named, "/mcp/below", "127.0.0.1:8081"),
        (named, "/api/listings", "shop.example"), (named, "/open", "shop.example"),
        (named, "/inner", "127.0.0.1:8081"), (named, "/named", "inner.example"), (named, "/tools", "shop.example"),
        ("", "/mcp", "127.0.0.1:8081"), ("", "/api/listings", "127.0.0.1:8081"),
    ])
    func hostIsTheHandlersOwnForMCP(routes: String, target: String, host: String) throws {
        let asked = try EmbeddedClient(routes + Self.unnamed).ask("GET \(target)", ["Host: shop.example"])
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded("Host") == [host])
        #expect(asked.forwarded("X-Forwarded-Host") == ["shop.example"])
    }

    private static let shop = routes + "mcp: {hosts: [shop.example]}\nupstream: {url: 'http://127.0.0.1:8081'}\n"

    @Test(arguments: [("/mcp", "127.0.0.1:8081"), ("/api/listings", "shop.example")])
    func aHostWithoutItsPortIsTaken(target: String, host: String) throws {
        let asked = try EmbeddedClient(Self.shop).ask(
            "GET \(target)", ["Host: shop.example:"], answer: links("http://\(host)", target))
        #expect(asked.answer.status == 307)
        #expect(asked.answer["Location"] == "http://shop.example\(target)/moved")
        #expect(asked.forwarded("X-Forwarded-Host") == ["shop.example"])
        #expect(asked.forwarded("Host") == [host])
    }

    @Test func theHostOfATargetMayLackItsPort() throws {
        let asked = try EmbeddedClient(Self.shop).ask("GET http://shop.example:/open", ["Host: shop.example"])
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded.first == "GET /open HTTP/1.1")
    }

    @Test func anotherHostIsRefusedWithoutItsPort() throws {
        let client = try EmbeddedClient(Self.shop)
        #expect(try client.ask("GET /mcp", ["Host: other.example:"]).answer.status == 403)
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: ["a!$&'()*+;=b.example", "a=b:8080"])
    func aHostWithSubDelimsIsTaken(host: String) throws {
        let asked = try EmbeddedClient(Self.ready).ask("GET /api/listings", ["Host: \(host)"])
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded("Host") == [host])
        #expect(asked.forwarded("X-Forwarded-Host") == [host])
    }

    /// In X-Forwarded-Host it would be two.
    @Test func aHostWithACommaIsRefused() throws {
        let client = try EmbeddedClient(Self.ready)
        #expect(try client.ask("GET /api/listings", ["Host: a,b"]).answer.status == 400)
        #expect(client.handlers.isEmpty)
    }

    // MARK: Answers

    @Test func anAnswerWithoutDateGetsOne() throws {
        let client = try EmbeddedClient(Self.ready)
        try client.send("GET /api/listings HTTP/1.1\r\nHost: h\r\n\r\n")
        try client.handler.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EmbeddedClient.ok)
        let answers = try client.answers()
        #expect(answers.map(\.status) == [103, 200])
        #expect(answers[0].all("Date") == [])
        let date = try #require(answers[1]["Date"])
        #expect(try #/[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT/#.wholeMatch(in: date) != nil)
        let dated = try client.ask(
            "GET /api/listings",
            answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n")
        #expect(dated.answer.all("Date") == ["Mon, 01 Jan 2024 00:00:00 GMT"])
    }

    @Test func aFieldThatVaryNamesIsNamedOnce() throws {
        var forwarded = ForwardedAnswer()
        forwarded.edits.variesByCredential = true
        #expect(
            try forwarded.values(of: "Vary", of: ["Vary: Accept, x-api-key"]) == [
                "Accept, x-api-key", "Authorization",
            ])
    }

    // MARK: Proxies

    private static let nobody = "notice a trusted proxy names no client: all its callers count as one"

    private func notices(_ client: EmbeddedClient) -> [String] {
        client.log.lines.filter { $0.hasPrefix(Self.nobody) }
    }

    @Test func aProxyThatNamesNoClientIsToldOfOnce() throws {
        let client = try EmbeddedClient(Self.ready, from: "127.0.0.1")
        _ = try client.ask("GET /api/listings", ["X-Forwarded-For: 203.0.113.9"])
        #expect(notices(client) == [])
        for _ in 0..<5 {
            _ = try client.ask("GET /api/listings")
            _ = try client.ask("GET /api/listings", ["X-Forwarded-For: unknown"])
        }
        let hint = "set the field in the proxy; if this peer is no proxy, take it out of trusted_proxies"
        #expect(notices(client) == ["\(Self.nobody) hint=\(hint) missing=X-Forwarded-For peer=127.0.0.1"])
    }

    @Test func aStrangerOwesNoNames() throws {
        let client = try EmbeddedClient(Self.ready + "trusted_proxies: [192.0.2.0/24]", from: "127.0.0.1")
        #expect(try client.ask("GET /api/listings").answer.status == 200)
        #expect(notices(client) == [])
    }
}
