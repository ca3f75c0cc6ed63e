// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Proxy

/// A handler that serves a path under its other spelling, with a slash more or less at the end, and says so by a redirect.
@Suite struct FollowedRedirectTests {
    private static let notice = "the handler redirects to the same path but for a slash at its end"
    private static let routes = """
        routes:
          - {path: /mcp, mcp: true}
          - {path: /tools, mcp: true}
          - {path: /tools/}
          - {path: "/files/{rest*}"}
          - {path: /slow, mcp: true, response_timeout: 1h}
        redis: {on_failure: local, local_share: 1}
        loops: 1

        """
    private static let hour = "policies: [{name: org, per: org, limit: 20/1h}]\n"

    private func client(
        _ settings: String = hour, upstream: String = "", from address: String = "192.0.2.1"
    ) throws -> EmbeddedClient {
        try EmbeddedClient(
            Self.routes + "upstream: {url: \"http://127.0.0.1:8081\"\(upstream)}\n" + settings,
            connections: 1000, knowing: [EmbeddedClient.key], from: address, isLogged: true)
    }

    private static func redirect(
        to location: String, _ status: String = "307 Temporary Redirect", _ fields: String = "Content-Length: 0\r\n"
    ) -> String {
        "HTTP/1.1 \(status)\r\nLocation: \(location)\r\n\(fields)\r\n"
    }

    private static let served = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved"

    /// Sends a request that the handler leads elsewhere.
    ///
    /// - Returns: what the handler got first, and then.
    private func lead(
        _ client: EmbeddedClient, _ request: String = "POST /mcp", _ fields: [String] = [],
        body: String = EmbeddedClient.call("a"), by redirect: String = redirect(to: "/mcp/")
    ) throws -> (first: String, second: String) {
        let lines =
            ["\(request) HTTP/1.1", "Host: tollgate.test", "X-API-Key: \(EmbeddedClient.key.text)"] + fields
            + (request.hasPrefix("POST") ? ["Content-Length: \(body.utf8.count)"] : [])
        try client.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (request.hasPrefix("POST") ? body : ""))
        let first = try client.handler.taken()
        try client.handler.send(redirect)
        return (first, try client.handler.taken())
    }

    private func notices(_ client: EmbeddedClient) -> Int {
        client.log.lines.filter { $0.contains(Self.notice) }.count
    }

    // MARK: What is followed

    @Test(
        arguments: [("/mcp", "/mcp/"), ("/mcp/", "/mcp"), ("/mcp?a=b", "/mcp/?a=b")],
        ["307 Temporary Redirect", "308 Permanent Redirect"])
    func itIsFollowedWithAllThatTheRequestHad(_ paths: (target: String, other: String), status: String) throws {
        let client = try client()
        let fields = [
            "Mcp-Session-Id: a1", "MCP-Protocol-Version: 2025-11-25", "Authorization: Basic YTpi", "X-A: 1",
        ]
        for turn in 1...2 {
            let sent = try lead(client, "POST \(paths.target)", fields, by: Self.redirect(to: paths.other, status))
            #expect(sent.first.hasPrefix("POST \(paths.target) HTTP/1.1\r\n"))
            // By the same name in all logs, and on the connection that is free again.
            #expect(
                sent.second
                    == sent.first.replacing("POST \(paths.target) ", with: "POST \(paths.other) ", maxReplacements: 1))
            #expect(sent.second.contains("\r\nMcp-Session-Id: a1\r\n"))
            #expect(sent.second.contains("\r\nX-A: 1\r\n"))
            #expect(sent.second.hasSuffix("\r\n\r\n" + EmbeddedClient.call("a")))
            try client.handler.send(Self.served)
            let answers = try client.answers()
            #expect(answers.map(\.status) == [200])
            #expect(answers[0].body == "served" && answers[0].all("Location") == [])
            // One call, whatever it took.
            #expect(answers[0].remaining == ["org": 20 - turn])
        }
        #expect(client.handlers.count == 1)
        let path = String(paths.target.prefix { $0 != "?" })
        #expect(
            try client.logged(2, "path", "status", "decision") == ["\(path) 200 allow", "\(path) 200 allow"])
        // Once for all.
        #expect(notices(client) == 1)
        let hint = "hint=clients save a request by the handler's own spelling route=/mcp"
        #expect(client.log.lines.contains { $0.contains(Self.notice) && $0.hasSuffix(hint) })
    }

    @Test(arguments: [
        ("http://127.0.0.1:8081/mcp/", "tollgate.test"),
        // A handler that is told of HTTPS before us, and one that goes by the client's names.
        ("https://127.0.0.1:8081/mcp/", "tollgate.test"), ("http://tollgate.test/mcp/", "tollgate.test"),
        ("https://API.example.com/mcp/", "api.example.com"),
    ])
    func byAllItsNamesItIsTheSameHandler(location: String, host: String) throws {
        let client = try client(Self.hour + "trusted_proxies: [192.0.2.0/24]\n")
        let sent = try lead(
            client, "POST /mcp", ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: \(host)"],
            by: Self.redirect(to: location))
        #expect(sent.second.hasPrefix("POST /mcp/ HTTP/1.1\r\n"))
        try client.handler.send(Self.served)
        #expect(try client.answers().map(\.body) == ["served"])
    }

    /// Its connection is closed, and others carry on.
    @Test(arguments: ["Content-Length: 9\r\n\r\nhalf", "Content-Length: 0\r\nConnection: close\r\n\r\n"])
    func theRestOfARedirectReachesNobody(rest: String) throws {
        let client = try client()
        for turn in 1...3 {
            let redirect = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /mcp/\r\n" + rest
            let sent = try lead(client, by: redirect)
            #expect(sent.first.hasPrefix("POST /mcp HTTP/1.1\r\n"))
            #expect(sent.second.hasPrefix("POST /mcp/ HTTP/1.1\r\n"))
            try client.handler.send(Self.served)
            let answers = try client.answers()
            #expect(answers.map(\.body) == ["served"])
            #expect(answers[0].remaining == ["org": 20 - turn])
            #expect(client.handlers.filter(\.isOpen).count == 1)
            // What is still open is the one that served; the next begins there and is led away from it.
            #expect(client.handlers.count == 1 + turn)
        }
    }

    @Test func aChainIsFollowedOnceAndPasses() throws {
        let client = try client()
        _ = try lead(client)
        try client.handler.send(Self.redirect(to: "http://127.0.0.1:8081/mcp"))
        let answers = try client.answers()
        #expect(answers.map(\.status) == [307])
        #expect(answers[0]["Location"] == "http://tollgate.test/mcp")
        #expect(try client.handler.taken() == "")
        #expect(try client.logged(1, "status") == ["307"])
    }

    // MARK: What passes

    @Test func whatWasNotReadIsNotKept() throws {
        let client = try client(Self.hour + "mcp: {trust_mcp_headers: true}\n")
        let fields = [EmbeddedClient.modern, "Mcp-Method: tools/call", "Mcp-Name: a"]
        #expect(try lead(client, "POST /mcp", fields).second == "")
        #expect(try client.answers().map(\.status) == [307])
        // Without the fields it is.
        #expect(try lead(client).second.hasPrefix("POST /mcp/ "))
        try client.handler.send(Self.served)
        #expect(try client.answers().map(\.status) == [200])
    }

    @Test(arguments: [
        ("GET", "/files/a", "/files/a/", "307 Temporary Redirect"),
        ("POST", "/files/a", "/files/a/", "308 Permanent Redirect"),
        ("HEAD", "/files/a?b", "/files/a/?b", "301 Moved Permanently"), ("GET", "/files/a/", "/files/a", "302 Found"),
        ("GET", "/mcp", "/mcp/", "301 Moved Permanently"),
        // Another route has the path that it leads to.
        ("POST", "/tools", "/tools/", "307 Temporary Redirect"),
        ("GET", "/files/a", "/files/b/", "307 Temporary Redirect"),
        ("GET", "/files/a", "/files/a/?b", "307 Temporary Redirect"),
        ("GET", "/files/a", "http://other.example.com/files/a/", "307 Temporary Redirect"),
        ("POST", "/mcp", "/mcp/login", "307 Temporary Redirect"),
        ("POST", "/mcp", "http://other.example.com/mcp/", "307 Temporary Redirect"),
        ("POST", "/mcp", "/mcp/", "303 See Other"), ("POST", "/files/a", "/files/a/", "302 Found"),
        ("POST", "/files/a", "/files/a/", "301 Moved Permanently"),
        ("DELETE", "/files/a", "/files/a/", "301 Moved Permanently"),
        ("GET", "/files/a", "/files/a/", "304 Not Modified"),
    ])
    func anyOtherPassesAsItIs(method: String, target: String, location: String, status: String) throws {
        let client = try client()
        #expect(try lead(client, "\(method) \(target)", by: Self.redirect(to: location, status)).second == "")
        let answers = try client.answers(to: method)
        #expect(answers.map { "\($0.status) \($0.reason)" } == [status])
        #expect(answers[0]["Location"] == location)
        #expect(notices(client) == 0)
    }

    // MARK: Between the two

    @Test func aHandlerThatStallsThereIs504() throws {
        let client = try client(upstream: ", response_timeout: 1s")
        #expect(try lead(client).second.hasPrefix("POST /mcp/ "))
        client.advance(by: .milliseconds(900))
        #expect(try client.answers().isEmpty)
        client.advance(by: .milliseconds(200))
        let answers = try client.answers()
        #expect(answers.map(\.status) == [504])
        #expect(answers[0].body.contains(#""error":{"code":50400,"#))
        #expect(answers[0].remaining == ["org": 19])
        #expect(try client.logged(1, "reason") == ["upstream_timeout"])
    }

    @Test func aClientThatLeavesMeanwhileHasLeft() throws {
        let client = try client()
        // Who takes events and closes its side takes no more.
        _ = try lead(client, "POST /mcp", ["Accept: application/json, text/event-stream"])
        client.endInput()
        #expect(try client.logged(1, "reason", "status") == ["client_closed -"])
        #expect(try !client.handler.isOpen && !client.isOpen)
    }

    @Test func aDrainMeanwhileWaitsForTheAnswer() throws {
        let client = try client()
        _ = try lead(client)
        client.loop.announceDrain()
        try client.handler.send(Self.served)
        let answers = try client.answers()
        #expect(answers.map(\.body) == ["served"])
        #expect(answers[0]["Connection"] == "close")
    }

    @Test func aHandlerThatDiesMeanwhileIs502() throws {
        let client = try client()
        #expect(try lead(client).second.hasPrefix("POST /mcp/ "))
        try client.handler.end()
        #expect(try client.answers().map(\.status) == [502])
        // A message is sent there once, and never again.
        #expect(client.handlers.count == 1)
    }
}
