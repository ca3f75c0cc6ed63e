// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// A handler of MCP that is nobody's library: what it sends is at the caller before it sends more, and its death shows.
@Suite struct EventStreamTests {
    private static let settings =
        "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: org, per: org, limit: 10000/1s}]\n"
        + EmbeddedClient.counting
    private static let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    private static let chunked = events + "Transfer-Encoding: chunked\r\n\r\n"
    private static let toTheEnd = events + "\r\n"
    private static let old = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    /// With all that an event stream may hold: a byte order mark, a comment, fields of every kind, every line ending, UTF-8.
    private static let everything =
        "\u{feff}: ping\n\nid: 7\nretry: 10\ndata: gr\u{f6}\u{df}e\n\nevent: message\r\ndata: {}\r\n\r\ndata\rdata: two\r\r"

    private static func chunk(_ octets: ArraySlice<UInt8>) -> [UInt8] {
        Array(String(octets.count, radix: 16).utf8) + Array("\r\n".utf8) + octets + Array("\r\n".utf8)
    }

    private static func chunk(_ text: String) -> String { String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n" }

    /// A stream whose head is at the caller before there is any body.
    private struct Stream {
        let client: EmbeddedClient
        let handler: UpstreamLine
        let head: ClientAnswer

        init(_ head: String, method: String = "GET", fields: [String] = []) throws {
            client = try EmbeddedClient(EventStreamTests.settings, knowing: [EmbeddedClient.key])
            let body = method == "POST" ? EmbeddedClient.call("climb") : ""
            let own = [
                "\(method) /mcp HTTP/1.1", "Host: a", "X-API-Key: \(EmbeddedClient.key.text)",
                "Accept: application/json, text/event-stream",
            ]
            let length = method == "POST" ? ["Content-Length: \(body.utf8.count)"] : []
            try client.send((own + length + fields).joined(separator: "\r\n") + "\r\n\r\n" + body)
            handler = try client.handler
            _ = try handler.taken()
            try handler.send(head)
            let answers = try client.answers()
            try #require(answers.map(\.status) == [200])
            self.head = answers[0]
        }

        /// Sends octets, and gives what is at the client then: the payload of whole chunks.
        func pass(_ octets: [UInt8]) throws -> [UInt8] {
            if handler.isOpen { try handler.channel.writeInbound(ByteBuffer(bytes: octets)) }
            client.eventLoop.run()
            var rest: [UInt8] = []
            while let part = try client.channel.readOutbound(as: ByteBuffer.self) { rest += part.readableBytesView }
            var payload: [UInt8] = []
            var position = rest[...]
            while !position.isEmpty {
                let end = try #require(position.firstRange(of: Array("\r\n".utf8)))
                let size = try #require(Int(String(decoding: position[..<end.lowerBound], as: UTF8.self), radix: 16))
                position = position[end.upperBound...]
                try #require(position.count >= size + 2)
                if size == 0 { payload += Array("END".utf8) }
                payload += position.prefix(size)
                position = position.dropFirst(size + 2)
            }
            return payload
        }

        func pass(_ text: String) throws -> String { String(decoding: try pass(Array(text.utf8)), as: UTF8.self) }
    }

    // MARK: Octets

    @Test(arguments: [chunked, toTheEnd, old], ["GET", "POST"])
    func everyOctetIsThereWhenItWasSent(head: String, method: String) throws {
        let stream = try Stream(head, method: method)
        #expect(stream.head["Content-Type"] == "text/event-stream")
        #expect(stream.head["Transfer-Encoding"] == "chunked")
        for name in ["X-Accel-Buffering", "Content-Encoding", "Content-Length"] { #expect(stream.head.all(name) == []) }
        for octet in Self.everything.utf8 {
            let passed = try stream.pass(head == Self.chunked ? Self.chunk([octet]) : [octet])
            try #require(passed == [octet])
        }
        if head == Self.chunked {
            #expect(try stream.pass("0\r\n\r\n") == "END")
        } else {
            stream.handler.end()
            #expect(try stream.pass("") == "END")
        }
    }

    /// The handler's chunks are no units: what there is of one goes on.
    @Test func everyOctetOfOneChunkIsThereWhenItWasSent() throws {
        let stream = try Stream(Self.chunked)
        let octets = Array(Self.everything.utf8)
        for octet in "\(String(octets.count, radix: 16))\r\n".utf8 { try #require(stream.pass([octet]) == []) }
        for octet in octets { try #require(stream.pass([octet]) == [octet]) }
        for octet in "\r\n0\r\n\r".utf8 { try #require(stream.pass([octet]) == []) }
        #expect(try stream.pass("\n") == "END")
    }

    @Test(arguments: [chunked, toTheEnd, old])
    func anEventMayComeInTwoPacketsCutAnywhere(head: String) throws {
        let event = Array("id: 1\ndata: gr\u{f6}\u{df}e\n\n".utf8)
        let stream = try Stream(head)
        for cut in 1..<event.count {
            for piece in [event[..<cut], event[cut...]] {
                try #require(try stream.pass(head == Self.chunked ? Self.chunk(piece) : Array(piece)) == Array(piece))
            }
        }
        guard head == Self.chunked else { return }
        // The framing may be cut as well, before, in and behind it.
        let framed = Self.chunk(event[...])
        for cut in 1..<framed.count {
            let (first, second) = try (stream.pass(Array(framed[..<cut])), stream.pass(Array(framed[cut...])))
            try #require(first + second == event)
        }
    }

    @Test(arguments: [chunked, toTheEnd, old])
    func manyEventsMayComeInOnePacket(head: String) throws {
        let events = (0..<500).map { "id: \($0)\ndata: \(String(repeating: "x", count: $0 % 97))\n\n" }
        let stream = try Stream(head)
        let together = (head == Self.chunked ? events.map(Self.chunk) : events).joined()
        #expect(try stream.pass(together) == events.joined())
    }

    @Test func theHeadAndAllEventsMayComeInOnePacket() throws {
        let stream = try Stream(Self.chunked + Self.chunk("data: 1\n\n") + Self.chunk("data: 2\n\n") + "0\r\n\r\n")
        #expect(stream.head.body == "data: 1\n\ndata: 2\n\n")
        #expect(stream.client.isOpen)
    }

    @Test(arguments: ["X-Accel-Buffering: no", "Cache-Control: no-cache, no-transform", "Mcp-Session-Id: a1"])
    func whatTheHandlerSaysOfItsStreamPasses(field: String) throws {
        let stream = try Stream(Self.events + field + "\r\nTransfer-Encoding: chunked\r\n\r\n")
        let name = String(field.prefix { $0 != ":" })
        #expect(stream.head[name] == String(field.dropFirst(name.count + 2)))
    }

    // MARK: Ends

    /// All of it in the middle of an event: what was sent, what is seen of it, and whether a length says the rest is missing.
    @Test(
        arguments: [
            (chunked, chunk("data: 1\n\n") + chunk("data: 2"), "data: 1\n\ndata: 2"),
            (chunked, chunk("data: 1\n\n") + "ff\r\ndata: 2", "data: 1\n\ndata: 2"),
            (chunked, chunk("data: 1\n\n") + "f", "data: 1\n\n"),
            (chunked, chunk("data: 1\n\n") + "0\r\n", "data: 1\n\n"),
        ], [("GET", true), ("GET", false), ("POST", true), ("POST", false)])
    func aHandlerThatDiesInMidEventDoesNotLookDone(
        _ death: (head: String, sent: String, seen: String), _ end: (method: String, isReset: Bool)
    ) throws {
        let stream = try Stream(death.head, method: end.method)
        #expect(try stream.pass(death.sent) == death.seen)
        if end.isReset { stream.handler.reset() } else { stream.handler.end() }
        // The last chunk never comes, and the connection ends.
        #expect(try stream.pass("") == "")
        #expect(!stream.client.isOpen)
    }

    @Test(arguments: [toTheEnd, old], [true, false])
    func aBodyToTheEndOfItsConnectionEndsWellByFINAlone(head: String, isReset: Bool) throws {
        let stream = try Stream(head)
        #expect(try stream.pass("data: 1\n\ndata: 2") == "data: 1\n\ndata: 2")
        if isReset { stream.handler.reset() } else { stream.handler.end() }
        #expect(try stream.pass("") == (isReset ? "" : "END"))
        #expect(stream.client.isOpen == !isReset)
    }

    /// Not an octet flows any more: the end of the connection alone tells.
    @Test(arguments: ["GET", "POST"], [chunked, chunked + chunk("data: 1"), nil] as [String?])
    func aCallerThatLeavesIsGoneForTheHandlerAtOnce(method: String, sent: String?) throws {
        for isHalfClosed in [true, false] {
            let client = try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key])
            let body = method == "POST" ? EmbeddedClient.call("climb") : ""
            try client.send(
                "\(method) /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: \(EmbeddedClient.key.text)\r\n"
                    + "Accept: application/json, text/event-stream\r\n"
                    + (method == "POST" ? "Content-Length: \(body.utf8.count)\r\n" : "") + "\r\n\(body)")
            let handler = try client.handler
            _ = try handler.taken()
            if let sent { try handler.send(sent) }
            if isHalfClosed { client.endInput() } else { client.leave() }
            #expect(try !handler.isOpen && handler.taken() == "")
        }
    }

    @Test func aCallerOfAnotherStreamStaysWhenOneLeaves() throws {
        let going = try Stream(Self.chunked)
        let staying = try EmbeddedClient(besides: going.client)
        let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(try staying.get("/mcp", [EmbeddedClient.forEvents], answer: stream).answer.status == 200)
        let handler = try staying.handler
        going.client.leave()
        #expect(!going.handler.isOpen && handler.isOpen)
        try handler.send(Self.chunk("data: 1\n\n"))
        #expect(try staying.received() == Self.chunk("data: 1\n\n"))
    }

    // MARK: Requests

    /// Fields of MCP that nobody here knows pass, none is doubled; the handler sees its own address in Host.
    @Test(arguments: [
        [
            EmbeddedClient.modern, "Mcp-Method: tools/call", "Mcp-Name: climb",
            "Mcp-Param-Region: =?base64?Z3LDtsOfZQ==?=", "Mcp-Of-Tomorrow: x",
        ],
        ["MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: a1", "Last-Event-ID: 7"],
    ])
    func aRequestReachesTheHandlerAsItWasSent(fields: [String]) throws {
        let client = try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key])
        let all = ["Accept: application/json, text/event-stream"] + fields
        let body = EmbeddedClient.call("climb")
        let asked = try client.post(body, all, answer: EmbeddedClient.json)
        #expect(asked.answer.status == 200)
        #expect(asked.body == body)
        for field in all + ["Content-Type: application/json"] {
            let name = String(field.prefix { $0 != ":" })
            #expect(asked.forwarded(name) == [String(field.dropFirst(name.count + 2))])
        }
        #expect(asked.forwarded("Host") == ["127.0.0.1:1"])
        #expect(asked.forwarded("X-API-Key") == [])
    }

    private static let batch =
        "[\(EmbeddedClient.message("tools/list")), \(EmbeddedClient.message("notifications/cancelled", id: nil)), "
        + "\(EmbeddedClient.message("ping", id: "2"))]"
    private static let answers = [#"{"jsonrpc":"2.0","id":2,"result":{}}"#, #"{"jsonrpc":"2.0","id":1,"result":{}}"#]
    private static let batches = ["Accept: application/json, text/event-stream", "MCP-Protocol-Version: 2025-03-26"]

    /// 2025-03-26: several messages in one array, the answers in whichever order.
    @Test func aBatchMayBeAnsweredByJSON() throws {
        let client = try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key])
        let answer = "[\(Self.answers.joined(separator: ", "))]"
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(answer.utf8.count)\r\n\r\n"
        let asked = try client.post(Self.batch, Self.batches, answer: head + answer)
        #expect(asked.answer.status == 200)
        #expect(asked.answer["Content-Type"] == "application/json")
        #expect(asked.answer.body == answer)
        #expect(asked.body == Self.batch)
    }

    @Test func aBatchMayBeAnsweredByAStream() throws {
        let client = try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key])
        let asked = try client.post(Self.batch, Self.batches, answer: Self.chunked)
        #expect(asked.answer.status == 200 && asked.body == Self.batch)
        for answer in Self.answers {
            let event = Self.chunk("event: message\ndata: \(answer)\n\n")
            try client.handler.send(event)
            #expect(try client.received() == event)
        }
        try client.handler.send("0\r\n\r\n")
        #expect(try client.received() == "0\r\n\r\n")
    }

    @Test func aBatchOfNotificationsIsAccepted() throws {
        let client = try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key])
        let notice = EmbeddedClient.message("notifications/cancelled", id: nil, params: #"{"requestId":9}"#)
        let asked = try client.post(
            "[\(notice), \(notice)]", answer: "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        #expect(asked.answer.status == 202 && asked.answer.body == "")
        #expect(asked.body == "[\(notice), \(notice)]")
    }
}
