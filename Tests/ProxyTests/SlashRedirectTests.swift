// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings
import Testing

@testable import Proxy

@Suite struct SlashRedirectTests {
    private static let names = HandlerNames(own: Array("127.0.0.1:8081".utf8), sent: view("handler.internal"))

    private static func view(_ text: String) -> ByteBufferView { ByteBuffer(string: text).readableBytesView }

    private func answer(_ status: Int, _ fields: [String]) throws -> ResponseHead {
        var buffer = ByteBuffer(
            string: (["HTTP/1.1 \(status) Elsewhere"] + fields).joined(separator: "\r\n") + "\r\n\r\n")
        var head = ResponseHead()
        var parser = ResponseHeadParser(limits: HeadLimits(bytes: 32 * 1024))
        let isComplete = try parser.parse(&buffer, answering: .post, into: &head)
        try #require(isComplete)
        return head
    }

    private func redirect(
        _ status: Int = 307, from target: String, to locations: String..., method: Method = .post,
        names: HandlerNames = names, publicHost: String = "api.example.com:8443"
    ) throws -> SlashRedirect? {
        let sent = try #require(PathAndQuery(Array(target.utf8)))
        return SlashRedirect(
            try answer(status, locations.map { "Location: \($0)" }), to: sent, method: method, names: names,
            publicHost: Self.view(publicHost))
    }

    @Test(arguments: [
        ("/mcp", "/mcp/"), ("/mcp/", "/mcp"), ("/mcp", "http://127.0.0.1:8081/mcp/"),
        // What the handler takes for the client's scheme.
        ("/mcp", "https://127.0.0.1:8081/mcp/"), ("/mcp", "HTTP://Handler.Internal/mcp/"),
        ("/mcp", "https://api.example.com:8443/mcp/"), ("/mcp", "https://handler.internal:443/mcp/"),
        ("/mcp?a=b&c", "/mcp/?a=b&c"),
        ("/mcp/?a", "http://handler.internal/mcp?a"), ("/mcp?", "/mcp/"), ("/mcp", "/mcp/?"),
        // Written anew by a framework that had decoded it.
        ("/%6dcp/caf%c3%a9", "/mcp/caf%C3%A9/"), ("/a//", "/a/"),
    ])
    func theOtherSpellingIsFound(target: String, location: String) throws {
        #expect(try redirect(from: target, to: location)?.keepsRequest == true)
    }

    @Test(arguments: [
        ("/mcp", "/mcp"), ("/mcp", "/mcp//"), ("/mcp", "/mcp/x"), ("/mcp", "/Mcp/"), ("/mcp", "/api/mcp/"), ("/", "/"),
        ("/mcp", "/mcp/?a"), ("/mcp?a", "/mcp/"), ("/mcp?a=%2F", "/mcp/?a=/"), ("/mcp", "/mcp/#top"), ("/mcp", "mcp/"),
        ("/mcp", ""), ("/mcp", "http://"), ("/mcp", "http:///mcp/"),
        ("/mcp", "http://:80/mcp/"), ("/mcp", "https://handler.internal:80/mcp/"), ("/mcp", "http://127.0.0.1/mcp/"),
        ("/mcp", "http://other.example.com/mcp/"), ("/mcp", "http://127.0.0.1:8081@other.example.com/mcp/"),
        ("/mcp", "//127.0.0.1:8081/mcp/"), ("/mcp", "ftp://127.0.0.1:8081/mcp/"), ("/mcp", "/mcp%2F"),
        ("/mcp", "/mcp/."), ("/mcp", "http://127.0.0.1:8081"), ("/mcp", "\\mcp/"), ("//", "//"),
    ])
    func anythingElseIsAnAnswer(target: String, location: String) throws {
        #expect(try redirect(from: target, to: location) == nil)
    }

    /// A Unix socket has no name, nor has a client that gives none, which HTTP/1.0 may.
    @Test(arguments: [
        ("http://handler.internal/mcp/", true), ("/mcp/", true), ("http://localhost/mcp/", false),
        ("http:///mcp/", false), ("http://:80/mcp/", false),
    ])
    func whatHasNoNameIsNotMeant(location: String, isFollowed: Bool) throws {
        let names = HandlerNames(own: nil, sent: Self.view("handler.internal"))
        #expect((try redirect(from: "/mcp", to: location, names: names, publicHost: "") != nil) == isFollowed)
    }

    @Test func oneThatSaysTwoThingsSaysNothing() throws {
        #expect(try redirect(from: "/mcp", to: "/mcp/", "/mcp/") == nil)
        #expect(try redirect(from: "/mcp") == nil)
    }

    /// What is paid and what isn't, and of that what may be sent again.
    @Test(
        arguments: [
            (200, Method.get, nil), (201, .post, nil), (300, .get, nil), (301, .get, false), (301, .head, false),
            (301, .post, nil), (301, .put, nil), (301, .delete, nil),
            (302, .get, false), (302, .head, false), (302, .post, nil), (302, .delete, nil), (303, .get, nil),
            (303, .post, nil), (304, .get, nil), (305, .get, nil), (307, .get, true), (307, .post, true),
            (308, .delete, true), (404, .get, nil),
        ] as [(Int, Method, Bool?)])
    func theStatusSaysWhetherTheWorkIsStillToDo(status: Int, method: Method, keepsRequest: Bool?) throws {
        #expect(try redirect(status, from: "/a", to: "/a/", method: method)?.keepsRequest == keepsRequest)
    }

    @Test(arguments: [
        ("/mcp", "/mcp/"), ("/mcp?a=b?c", "/mcp/?a=b?c"), ("/mcp/?", "/mcp?"), ("/a//", "/a/"), ("/", nil), ("//", "/"),
    ])
    func aSlashIsAddedOrTaken(target: String, other: String?) throws {
        let sent = try #require(PathAndQuery(Array(target.utf8)))
        #expect(sent.withOtherEnd.map { String(decoding: $0.octets, as: UTF8.self) } == other)
        #expect(String(decoding: sent.octets, as: UTF8.self) == target)
    }

    @Test(arguments: ["", "?a=b", "*", "example.com:443"])
    func aTargetWithoutAPathHasNone(target: String) {
        #expect(PathAndQuery(Array(target.utf8)) == nil)
    }

    // MARK: Routes

    @Test(arguments: [
        ("/mcp", "/mcp/", true), ("/mcp/", "/mcp", true), ("/mcp/x", "/mcp/x/", true),
        // One that asks for more has the path with the slash.
        ("/tools", "/tools/", false), ("/tools/", "/tools", false), ("/api", "/api/", false), ("/mcp", "/mcp//", true),
        ("/files/a", "/files/a/", true),
    ])
    func whoAsksForOtherRoutesIsNotLedThere(target: String, other: String, isAlike: Bool) throws {
        let table = RouteTable([
            Settings.Route(path: "/mcp", isMCP: true), Settings.Route(path: "/tools", isMCP: true),
            Settings.Route(path: "/tools/", scopes: ["admin"]), Settings.Route(path: "/api"),
            Settings.Route(path: "/files/{rest*}"),
        ])
        let head = try RoutingHeads.head(target, method: "POST")
        #expect(table.matchesAlike(head, at: Array(other.utf8), isPreflight: false) == isAlike)
    }
}
