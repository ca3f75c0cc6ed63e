// SPDX-License-Identifier: Apache-2.0

import Foundation
import LibC
import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// A WebSocket is admitted like any request; then octets pass both ways.
@Suite struct WebSocketTests {
    private static let settings = """
        routes: [{path: "/files/{rest*}"}]
        policies: [{name: org, per: org, limit: 20/1h}]

        """ + EmbeddedClient.counting
    private static let upgrade = [
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    private static let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    private static let switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\(accept)\r\n"

    private func client(_ settings: String = settings, isLogged: Bool = false) throws -> EmbeddedClient {
        try EmbeddedClient(settings, knowing: [EmbeddedClient.key], isLogged: isLogged)
    }

    private static func head(
        _ fields: [String] = upgrade, method: String = "GET", version: String = "1.1", hasKey: Bool = true
    ) -> String {
        (["\(method) /files/socket HTTP/\(version)", "Host: h"]
            + (hasKey ? ["X-API-Key: \(EmbeddedClient.key.text)"] : []) + fields).joined(separator: "\r\n")
            + "\r\n\r\n"
    }

    /// A tunnel, whose heads were read.
    private func tunnel(_ client: EmbeddedClient) throws -> UpstreamLine {
        try client.send(Self.head())
        let handler = try client.handler
        _ = try handler.taken()
        try handler.send(Self.switching)
        #expect(try client.statuses() == [101])
        return handler
    }

    /// What the handler gets before it has switched is the head alone.
    @Test func whatIsSentAheadWaitsForTheSwitch() throws {
        let client = try client()
        let ahead =
            "early bytes that look like\r\nGET /health HTTP/1.1\r\n\r\n" + String(repeating: "a", count: 100_000)
        try client.send(Self.head() + ahead, inPiecesOf: 4096)
        let handler = try client.handler
        let head = try handler.taken()
        #expect(head.hasPrefix("GET /files/socket HTTP/1.1\r\n") && head.hasSuffix("\r\n\r\n"))
        let lines = head.split(separator: "\r\n")
        #expect(lines.contains("Connection: Upgrade") && lines.contains("Upgrade: websocket"))
        #expect(lines.contains("X-Tollgate-Org: acme") && lines.contains("Via: 1.1 tollgate"))
        #expect(!lines.contains { $0.hasPrefix("X-API-Key") })
        try handler.send(Self.switching + "from")
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(answer.contains("\r\nConnection: Upgrade\r\n") && answer.contains("\r\nUpgrade: websocket\r\n"))
        #expect(answer.contains("\r\n" + Self.accept) && answer.contains("\r\nX-RateLimit-Remaining: 19\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nfrom"))
        #expect(try handler.taken() == ahead)
        #expect(client.handlers.count == 1)
    }

    @Test(arguments: ["200 OK", "400 Bad Request", "426 Upgrade Required", "503 Service Unavailable"])
    func afterAnotherAnswerTheConnectionsClose(status: String) throws {
        let client = try client()
        let smuggled = "GET /files/x HTTP/1.1\r\nHost: h\r\nX-Tollgate-Org: else\r\n\r\n"
        try client.send(Self.head() + smuggled + String(repeating: "x", count: 100_000), inPiecesOf: 4096)
        let handler = try client.handler
        #expect(try handler.taken().components(separatedBy: "\r\n\r\n").last == "")
        try handler.send("HTTP/1.1 \(status)\r\nContent-Length: 2\r\n\r\nno")
        let answers = try client.answers()
        #expect(answers.map { "\($0.status) \($0.reason)" } == [status])
        #expect(answers[0].body == "no" && answers[0]["Connection"] == "close")
        #expect(client.socket.isOutputClosed || !client.isOpen)
        #expect(try handler.taken() == "" && client.handlers.count == 1)
        // Nor is the handler's side used again: who knows what it takes the next octets for.
        #expect(!handler.isOpen)
    }

    @Test func aRefusalClosesAsWell() throws {
        let client = try client()
        let behind = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n" + String(repeating: "x", count: 100_000)
        try client.send(Self.head(hasKey: false) + behind, inPiecesOf: 4096)
        let answers = try client.answers()
        #expect(answers.map(\.status) == [401])
        #expect(answers[0]["WWW-Authenticate"] == "Bearer realm=\"tollgate\"" && answers[0]["Connection"] == "close")
        #expect(client.socket.isOutputClosed && client.handlers.isEmpty)
    }

    @Test func beyondTheLimitItIs429AndMessagesCostNothing() throws {
        let limited = Self.settings.replacing("20/1h", with: "2/1h")
        let first = try client(limited)
        let handler = try tunnel(first)
        let second = try EmbeddedClient(besides: first)
        let other = try tunnel(second)
        let third = try EmbeddedClient(besides: first)
        try third.send(Self.head())
        let answers = try third.answers()
        #expect(answers.map(\.status) == [429])
        #expect(answers[0]["Retry-After"] == "1800")
        #expect(first.handlers.count == 2)
        // The two go on.
        for (client, handler) in [(first, handler), (second, other)] {
            try client.send("still here")
            #expect(try handler.taken() == "still here")
        }
    }

    @Test(arguments: [
        ("Upgrade: websocket", "Upgrade: h2c"), ("Upgrade: websocket\r\n", ""), ("Connection: Upgrade\r\n", ""),
    ])
    func aSwitchToSomethingElseIs502(part: String, other: String) throws {
        let client = try client()
        try client.send(Self.head())
        try client.handler.send(Self.switching.replacing(part, with: other) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        let answers = try client.answers()
        #expect(answers.count == 1)
        answers.first?.expectProblem(502, "Bad Gateway", "Upstream sent an invalid response")
        #expect(client.socket.isOutputClosed || !client.isOpen)
        #expect(try !client.handler.isOpen)
    }

    @Test(
        arguments: [
            (["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"], "GET", "1.1"),
            (upgrade + ["Content-Length: 0"], "POST", "1.1"), (upgrade + ["Content-Length: 0"], "PUT", "1.1"),
            (upgrade, "HEAD", "1.1"), (upgrade, "GET", "1.0"),
            (["Connection: keep-alive"] + upgrade.dropFirst(), "GET", "1.1"),
            (upgrade.map { $0 == "Upgrade: websocket" ? "Upgrade: websocket/13" : $0 }, "GET", "1.1"),
            (upgrade.map { $0 == "Upgrade: websocket" ? "Upgrade: TLS/1.3" : $0 }, "GET", "1.1"),
        ] as [([String], String, String)])
    func noOtherSwitchIsAskedFor(fields: [String], method: String, version: String) throws {
        let client = try client()
        try client.send(Self.head(fields, method: method, version: version))
        let lines = try client.handler.taken().lowercased().split(separator: "\r\n")
        #expect(!lines.contains { $0.hasPrefix("upgrade:") || $0.hasPrefix("connection:") })
        #expect(!lines.contains { $0.hasPrefix("http2-settings:") })
        try client.handler.send(EmbeddedClient.ok)
        #expect(try client.answers(to: method).map(\.status) == [200])
        // And one that comes all the same is no answer.
        let other = try EmbeddedClient(besides: client)
        try other.send(Self.head(fields, method: method, version: version))
        try other.handler.send(Self.switching)
        #expect(try other.answers(to: method).map(\.status) == [502])
    }

    @Test func ofSeveralProtocolsWebSocketAloneIsAskedFor() throws {
        let client = try client()
        try client.send(
            Self.head(
                ["Connection: keep-alive, Upgrade, HTTP2-Settings", "Upgrade: h2c, WebSocket"]
                    + Self.upgrade.dropFirst(2)
                    + ["HTTP2-Settings: AAMAAABk"]))
        let lines = try client.handler.taken().split(separator: "\r\n")
        #expect(lines.filter { $0.lowercased().hasPrefix("upgrade:") } == ["Upgrade: websocket"])
        #expect(lines.filter { $0.lowercased().hasPrefix("connection:") } == ["Connection: Upgrade"])
        #expect(!lines.contains { $0.lowercased().hasPrefix("http2-settings:") })
        try client.handler.send(Self.switching)
        #expect(try client.statuses() == [101])
    }

    @Test func interimAnswersMayComeFirst() throws {
        let client = try client()
        try client.send(Self.head())
        let handler = try client.handler
        _ = try handler.taken()
        try handler.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Self.switching)
        #expect(try client.statuses() == [103, 101])
        try client.send("over and")
        #expect(try handler.taken() == "over and")
    }

    @Test func silenceEndsNoTunnel() throws {
        let client = try client(
            """
            routes: [{path: "/files/{rest*}"}]
            redis: {on_failure: open}
            upstream: {url: "http://127.0.0.1:1", response_timeout: 200ms, idle_timeout: 200ms}
            limits: {idle_timeout: 200ms, header_timeout: 200ms}
            """)
        let handler = try tunnel(client)
        client.advance(by: .seconds(10))
        try client.send("still there")
        #expect(try handler.taken() == "still there")
        try handler.send("so am I")
        #expect(try client.received() == "so am I")
    }

    @Test func tunnelsDoNotUseUpTheUpstreamConnections() throws {
        let client = try client(
            """
            routes: [{path: "/files/{rest*}"}]
            redis: {on_failure: open}
            upstream: {url: "http://127.0.0.1:1", max_connections: 1}
            """)
        let clients = try (0..<5).map { _ in try EmbeddedClient(besides: client) }
        let handlers = try clients.map(tunnel)
        #expect(try client.get("/files/x").answer.status == 200)
        for (number, (client, handler)) in zip(clients, handlers).enumerated() {
            try client.send("\(number)")
            #expect(try handler.taken() == "\(number)")
        }
    }

    // MARK: A slow handler

    /// Takes nothing more for now.
    private func holdBack(_ handler: UpstreamLine) {
        handler.channel.isWritable = false
        handler.gauge.holdsWrites = true
    }

    @Test(arguments: ["leaves", "is reset", "doesn't take its answers", "is cut at the end of a drain"])
    func whatCameIsTheHandlersThoughItsClient(way: String) throws {
        let client = try client(Self.settings + "limits: {stall_timeout: 2s, idle_timeout: 2s}", isLogged: true)
        let handler = try tunnel(client)
        try client.send("one,")
        holdBack(handler)
        try client.send("two,")
        // Not even looked at.
        try client.send("three")
        #expect(client.connection.unread == 9)
        switch way {
        case "leaves": client.leave()
        case "is reset":
            client.channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNRESET, reason: "read"))
        case "doesn't take its answers": client.connection.reset()
        default: client.loop.cut()
        }
        client.eventLoop.run()
        #expect(!client.isOpen && handler.isOpen && !handler.gauge.isOutputClosed)
        let lines = try client.logged(2, "event", "reason", "bytes_in")
        #expect(lines == ["begin - 0", "end client_closed 13"])
        handler.letGo()
        #expect(try handler.taken() == "one,two,three")
        #expect(handler.gauge.isOutputClosed && handler.isOpen)
        client.advance(by: .seconds(1))
        #expect(!handler.isOpen)
    }

    /// Since before its client left, and for as long as a client may.
    @Test func aHandlerThatTakesNothingIsLeft() throws {
        let client = try client(Self.settings + "limits: {stall_timeout: 2s, idle_timeout: 1h}")
        let handler = try tunnel(client)
        holdBack(handler)
        try client.send("last words")
        client.leave()
        client.advance(by: .milliseconds(2_990))
        #expect(handler.isOpen)
        client.advance(by: .milliseconds(20))
        #expect(!handler.isOpen)
    }

    /// Half-closed, the client hears its handler until that has taken all; or takes nothing for `idle_timeout`.
    @Test(arguments: [true, false])
    func aClientThatHasSaidAllWaitsForItsHandler(takes: Bool) throws {
        let client = try client(Self.settings + "limits: {stall_timeout: 1h, idle_timeout: 2s}", isLogged: true)
        let handler = try tunnel(client)
        holdBack(handler)
        try client.send("last words")
        client.endInput()
        try handler.send("heard")
        #expect(try client.received() == "heard")
        client.advance(by: .milliseconds(1_990))
        #expect(client.isOpen && handler.isOpen)
        if takes {
            handler.letGo()
            handler.channel.isWritable = true
            handler.channel.pipeline.fireChannelWritabilityChanged()
            #expect(try handler.taken() == "last words")
            #expect(handler.gauge.isOutputClosed)
        } else {
            client.advance(by: .milliseconds(20))
            #expect(!handler.isOpen)
        }
        #expect(!client.isOpen)
        #expect(try client.logged(2, "reason") == ["-", takes ? "-" : "client_closed"])
    }

    /// Nobody is told anything by a key that holds no longer.
    @Test func aTunnelWhoseKeyHasEndedIsCut() throws {
        let client = try client()
        let handler = try tunnel(client)
        holdBack(handler)
        try client.send("last words")
        client.connection.exchange?.upstreamFailed(.keyEnded)
        client.eventLoop.run()
        #expect(!client.isOpen && !handler.isOpen)
    }

    @Test func aTunnelHasALineAtItsBeginningAndOneAtItsEnd() throws {
        let client = try client(isLogged: true)
        let handler = try tunnel(client)
        let began = try client.logged(1, "event", "status", "route", "correlation_id")
        try client.send("12345")
        _ = try handler.taken()
        try handler.send("1234567")
        client.endInput()
        let ended = try client.logged(
            1, "event", "status", "route", "correlation_id", "org", "bytes_in", "bytes_out")
        let id = try #require(began[0].split(separator: " ").last)
        #expect(began == ["begin 101 /files/{rest*} \(id)"])
        #expect(ended == ["end 101 /files/{rest*} \(id) acme 5 7"])
    }
}
