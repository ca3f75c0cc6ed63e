// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

/// What messages on an `mcp` route cost (docs/design.md, "MCP").
@Suite struct MessageCostTests {
    private static let hour = "policies: [{name: org, per: org, limit: 20/1h}]\n"
    private static let notice = EmbeddedClient.message("notifications/x", id: nil)

    private func client(
        _ policies: String = hour, routes: String = EmbeddedClient.shop, isLogged: Bool = false, connections: Int = 100
    ) throws -> EmbeddedClient {
        try EmbeddedClient(
            routes + EmbeddedClient.counting + policies, connections: connections, knowing: [EmbeddedClient.key],
            isLogged: isLogged)
    }

    @Test(arguments: [
        (EmbeddedClient.message("tools/list"), 1), (EmbeddedClient.call("search"), 1), (notice, 0),
        (EmbeddedClient.message("notifications/initialized", id: "7"), 1),
        (EmbeddedClient.message("notifications/initialized", id: "null"), 1),
        (EmbeddedClient.message("tools/call", id: nil), 1), (#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#, 0),
        (#"{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}"#, 0),
        (#"{"jsonrpc": "2.0", "id": 1}"#, 0),
        (#"{"jsonrpc": "2.0", "id": 1, "error": {}, "result": {}}"#, 1), ("{}", 1),
        ("[\(EmbeddedClient.message("tools/list")), \(EmbeddedClient.call("a")), \(notice)]", 2),
        ("[\(notice), \(notice), \(notice)]", 1), ("[]", 1), ("no JSON", 1), ("", 1),
        (#"{"method": "tools/list", "id": NaN}"#, 1),
    ])
    func aMessageCosts(body: String, cost: Int) throws {
        let asked = try client().post(body)
        #expect(asked.answer.status == 200)
        #expect(asked.answer.remaining == ["org": 20 - cost])
        // The handler has it, octet for octet, and who it is from instead of the key.
        #expect(asked.body == body)
        #expect(asked.forwarded("X-API-Key") == [])
        #expect(asked.forwarded("X-Tollgate-Org") == ["acme"])
    }

    // MARK: Handshakes

    @Test func theHandshakeHasABucketOfItsOwn() throws {
        let client = try client("policies: [{name: org, per: org, limit: 1/1h}]")
        let initialize = EmbeddedClient.message("initialize")
        #expect(try client.post(initialize).answer.remaining == ["org": 1, "handshake": 119])
        #expect(try client.post(EmbeddedClient.call("a")).answer.remaining == ["org": 0])
        // Who is over the limit still connects.
        #expect(try client.post(initialize).answer.remaining == ["org": 0, "handshake": 118])
        let discover = EmbeddedClient.message("server/discover")
        #expect(
            try client.post(discover, [EmbeddedClient.modern]).answer.remaining == ["org": 0, "handshake": 117])
        let told = try client.post(EmbeddedClient.message("tools/list"))
        #expect(told.answer.status == 200)
        #expect(told.answer.body.hasPrefix(#"{"jsonrpc":"2.0","id":1,"error":{"code":42900,"#))
        #expect(told.forwarded == [])
    }

    @Test func anEntryNamedHandshakeReplacesItsNumbers() throws {
        let client = try client("policies: [{name: handshake, per: key, limit: 2/1h}]")
        let initialize = EmbeddedClient.message("initialize")
        #expect(try client.post(initialize).answer.remaining == ["handshake": 1])
        #expect(try client.post(initialize).answer.remaining == ["handshake": 0])
        let refused = try client.post(initialize)
        #expect(refused.answer.status == 429)
        #expect(refused.answer.body.hasPrefix(#"{"jsonrpc":"2.0","id":1,"error":{"code":42900,"#))
        #expect(refused.forwarded == [])
    }

    @Test func withoutAKeyTheHandshakeCostsLikeAnything() throws {
        let client = try EmbeddedClient(
            EmbeddedClient.shop + EmbeddedClient.counting + """
                policies: [{name: address, per: address, limit: 20/1h}]
                keys: {anonymous: allow}
                mcp: {hosts: [], origins: []}
                """)
        #expect(try client.post(EmbeddedClient.message("initialize"), by: nil).answer.remaining == ["address": 19])
    }

    // MARK: Free

    @Test func streamsAreFree() throws {
        let client = try client()
        let events =
            "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nContent-Length: 9\r\n\r\ndata: 1\n\n"
        let stream = try client.get("/mcp", [EmbeddedClient.forEvents], answer: events).answer
        #expect(stream.remaining == ["org": 20, "open-streams": 99])
        #expect(stream.body == "data: 1\n\n")
        // What asks for no stream is a request like others.
        #expect(try client.get().answer.remaining == ["org": 19])
    }

    @Test func whereSessionsAreNobodysTheirEndIsACall() throws {
        let client = try client(Self.hour + "mcp: {bind_sessions: false}")
        let fields = ["X-API-Key: \(EmbeddedClient.key.text)", "Mcp-Session-Id: a1"]
        #expect(try client.ask("DELETE /mcp", fields).answer.remaining == ["org": 19])
    }

    @Test func whatIsFreeIsSlowedBeyondItsRate() throws {
        let client = try client()
        for _ in 0..<100 { try #require(client.post(Self.notice).answer.status == 200) }
        // Not one is refused, but each that follows takes its hundredth of a second.
        for _ in 0..<20 {
            try client.send(
                "POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: \(EmbeddedClient.key.text)\r\n"
                    + "Content-Length: \(Self.notice.utf8.count)\r\n\r\n\(Self.notice)")
            try #require(client.forwarded() == "")
            client.advance(by: .milliseconds(10))
            try #require(client.forwarded().hasSuffix(Self.notice))
            try client.handler.send(EmbeddedClient.ok)
            try #require(client.statuses() == [200])
        }
        #expect(try client.post(EmbeddedClient.message("tools/list")).answer.remaining == ["org": 19])
    }

    // MARK: Streams that are open

    private static let slots = "policies: [{name: org, per: org, limit: 20/1h}, {name: open-streams, concurrency: 2}]\n"
    private static let mcp = "routes: [{path: /mcp, mcp: true}, {path: /files}]\n"
    private static let listen = EmbeddedClient.message("subscriptions/listen")
    private static let other = KnownKey(text: "mcp_" + String(repeating: "B", count: 43), id: "desktop")

    /// A client of its own, whose stream stays open if it gets one.
    private func stream(
        _ client: EmbeddedClient, _ body: String? = nil, by key: KnownKey? = EmbeddedClient.key
    ) throws -> (client: EmbeddedClient, answer: ClientAnswer) {
        let own = try EmbeddedClient(besides: client)
        let asked =
            try body.map {
                try own.post(
                    $0, [EmbeddedClient.forEvents, EmbeddedClient.modern], by: key, answer: EmbeddedClient.stream)
            } ?? own.get("/mcp", [EmbeddedClient.forEvents], by: key, answer: EmbeddedClient.stream)
        return (own, asked.answer)
    }

    @Test(arguments: [[nil, nil, nil], [listen, listen, listen], [nil, listen, nil]] as [[String?]])
    func aKeyHasSoManyStreamsOpen(bodies: [String?]) throws {
        let client = try EmbeddedClient(
            Self.mcp + EmbeddedClient.counting + Self.slots, knowing: [EmbeddedClient.key, Self.other])
        var streams = try bodies.prefix(2).map { try stream(client, $0) }
        #expect(streams.map(\.answer.status) == [200, 200])
        #expect(streams.map(\.answer.remaining["open-streams"]) == [1, 0])
        streams.append(try stream(client, bodies[2]))
        let refused = streams[2].answer
        #expect(refused.status == 429)
        #expect(refused["RateLimit-Policy"]?.hasSuffix(#""open-streams";q=2;qu="concurrent-requests""#) == true)
        // Another key has its own, and calls take none.
        streams.append(try stream(client, by: Self.other))
        #expect(streams[3].answer.status == 200)
        for method in ["tools/call", "tools/list", "notifications/x", "initialize"] {
            let id = method.hasPrefix("notifications") ? nil : "1"
            let answer = try client.post(EmbeddedClient.message(method, id: id)).answer
            #expect(answer.status == 200)
            #expect(answer.remaining["open-streams"] == nil)
        }
        streams[0].client.leave()
        streams.append(try stream(client, bodies[0]))
        #expect(streams[4].answer.status == 200)
        #expect(streams[4].answer.remaining["open-streams"] == 0)
    }

    @Test func streamsOfCallersWithoutAKeyAreNotCounted() throws {
        let client = try EmbeddedClient(
            "routes: [{path: /mcp, mcp: true, public: true}]\npolicies: [{name: open-streams, concurrency: 2}]\n"
                + EmbeddedClient.counting)
        let streams = try (0..<3).map { _ in try stream(client, by: nil) }
        #expect(streams.map(\.answer.status) == [200, 200, 200])
        #expect(streams.allSatisfy { $0.answer.all("RateLimit") == [] })
    }

    /// Who was answered by something else before pays for the next, and takes a place all the same.
    @Test func aStreamThatIsPaidForTakesAPlaceToo() throws {
        let client = try client(Self.slots, routes: Self.mcp)
        #expect(
            try client.get("/mcp", [EmbeddedClient.forEvents], answer: EmbeddedClient.json).answer.remaining
                == ["org": 20, "open-streams": 1])
        let streams = try (0..<3).map { _ in try stream(client) }
        #expect(streams.map(\.answer.status) == [200, 200, 429])
        #expect(streams[0].answer.remaining == ["org": 19, "open-streams": 1])
    }
}
