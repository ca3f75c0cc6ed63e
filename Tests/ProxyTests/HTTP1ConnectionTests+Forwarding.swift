// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// With a handler behind it.
extension HTTP1ConnectionTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test(arguments: 1...get.utf8.count)
    func aRequestIsForwardedHoweverItIsCut(size: Int) throws {
        let client = try EmbeddedClient()
        try client.send(Self.get, inPiecesOf: size)
        let handler = try client.handler
        let request = try client.forwarded()
        let whole = try EmbeddedClient()
        try whole.send(Self.get)
        #expect(request == (try whole.forwarded()))
        #expect(request.hasPrefix("GET /open/a HTTP/1.1\r\n"))
        try handler.send(Self.answer)
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nok"))
    }

    @Test(arguments: 1...answer.utf8.count)
    func anAnswerIsForwardedHoweverItIsCut(size: Int) throws {
        let client = try EmbeddedClient()
        for _ in 0..<3 {
            try client.send(Self.get)
            let handler = try client.handler
            _ = try client.forwarded()
            try handler.send(Self.answer, by: size)
            let answer = try client.received()
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\nok"))
        }
        // All on one connection.
        #expect(try client.handler.isOpen && client.isOpen && client.handlers.count == 1)
    }

    @Test(arguments: 1...post.utf8.count)
    func aBodyIsForwardedHoweverItIsCut(size: Int) throws {
        let client = try EmbeddedClient()
        try client.send(Self.post, inPiecesOf: size)
        let handler = try client.handler
        let request = try client.forwarded()
        #expect(request.hasPrefix("POST /open/a HTTP/1.1\r\n"))
        #expect(request.contains("\r\nContent-Length: 5\r\n"))
        #expect(request.hasSuffix("\r\n\r\nhello"))
        try handler.send(Self.answer)
        #expect(try client.statuses() == [200])
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func chunksAreForwardedAsChunks(size: Int) throws {
        let client = try EmbeddedClient()
        try client.send(
            "POST /open/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            inPiecesOf: size)
        let handler = try client.handler
        let request = try client.forwarded()
        #expect(request.hasSuffix("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
        try handler.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", by: size)
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("2\r\nok\r\n0\r\n\r\n") || answer.hasSuffix("1\r\no\r\n1\r\nk\r\n0\r\n\r\n"))
        #expect(client.isOpen)
    }

    @Test func requestsThatWereSentAheadWaitForTheirTurn() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get + Self.missing)
        let handler = try client.handler
        #expect(try client.received() == "")
        try handler.send(Self.answer)
        #expect(try client.statuses() == [200, 401])
    }

    @Test func aHandlerThatLeavesIsAnsweredFor() throws {
        let client = try EmbeddedClient()
        try client.send(Self.post)
        let handler = try client.handler
        try handler.send("HTTP/1.1 200 O")
        handler.end()
        #expect(try client.statuses() == [502])
        #expect(client.isOpen)
    }

    @Test func aTruncatedAnswerEndsItsConnection() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        try handler.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
        handler.end()
        #expect(try client.received().hasSuffix("\r\n\r\nhel"))
        #expect(!client.isOpen)
    }

    @Test func aHandlerThatIsSlowIsAnsweredFor() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        client.advance(by: .seconds(3))
        #expect(try client.statuses() == [504])
        #expect(client.isOpen && !handler.isOpen)
    }

    @Test func whatIsNoResponseIsAnsweredFor() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        try handler.send("SSH-2.0-OpenSSH\r\n\r\n")
        #expect(try client.statuses() == [502])
        #expect(!handler.isOpen)
    }

    @Test func aClientThatLeavesTakesItsHandlerAlong() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        client.channel.close(promise: nil)
        client.eventLoop.run()
        #expect(!handler.isOpen)
    }

    @Test func interimHeadsArePassedOn() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        try handler.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Self.answer)
        #expect(try client.statuses() == [103, 200])
    }

    @Test func aStreamEndsWithItsClientsInput() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        try handler.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        #expect(try client.received().contains("data: 1\n\n"))
        client.endInput()
        #expect(!client.isOpen && !handler.isOpen)
    }

    @Test func aTunnelCarriesBytesBothWays() throws {
        let client = try EmbeddedClient()
        try client.send(
            "GET /open/a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n")
        let handler = try client.handler
        _ = try client.forwarded()
        try handler.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom")
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 101 ") && answer.hasSuffix("\r\n\r\nfrom"))
        try client.send("to")
        #expect(try client.forwarded() == "to")
        client.endInput()
        #expect(!client.isOpen)
    }
}
