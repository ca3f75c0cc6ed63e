// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// A client's connection in its channel, octet by octet.
@Suite struct HTTP1ConnectionTests {
    static let get = "GET /open/a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    static let missing = "GET /keyed HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    static let post = "POST /open/a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello"

    // MARK: Answers of its own

    @Test func answersWhoHasNoKey() throws {
        let client = try EmbeddedClient()
        try client.send(Self.missing)
        let answer = try client.received()
        #expect(
            answer.hasPrefix("HTTP/1.1 401 Unauthorized\r\nDate: now\r\nContent-Type: application/problem+json\r\n"))
        #expect(answer.contains("\r\nWWW-Authenticate: Bearer realm=\"tollgate\"\r\n"))
        #expect(!answer.contains("Connection:"))
        #expect(client.isOpen)
    }

    @Test(arguments: 1...missing.utf8.count)
    func aHeadMayComeInPieces(size: Int) throws {
        let whole = try EmbeddedClient()
        try whole.send(Self.missing)
        let client = try EmbeddedClient()
        try client.send(Self.missing, inPiecesOf: size)
        #expect(try client.received() == whole.received())
    }

    @Test func requestsFollowOneAnother() throws {
        let client = try EmbeddedClient()
        try client.send(String(repeating: Self.missing, count: 50))
        #expect(try client.statuses() == Array(repeating: 401, count: 50))
        #expect(client.isOpen)
    }

    @Test(arguments: [
        ("\u{16}\u{03}\u{01}", 400), ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /" + String(repeating: "a", count: 70_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        ("POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ])
    func whatIsNoRequestEndsItsConnection(octets: String, status: Int) throws {
        let client = try EmbeddedClient()
        try client.send(octets + Self.missing)
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        #expect(answer.contains("\r\nConnection: close\r\n"))
        // It lingers until the client has seen that.
        #expect(client.isOpen && client.socket.isOutputClosed)
        client.endInput()
        #expect(!client.isOpen)
    }

    @Test func theBodyOfARefusedRequestIsReadPast() throws {
        let client = try EmbeddedClient()
        let post = "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
        try client.send(post)
        #expect(try client.statuses() == [404])
        try client.send("01234")
        #expect(try client.statuses() == [])
        try client.send("56789" + Self.missing)
        #expect(try client.statuses() == [401])
        #expect(client.isOpen)
    }

    @Test func aLongRestIsNotReadPast() throws {
        let client = try EmbeddedClient()
        try client.send("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n")
        #expect(try client.received().contains("\r\nConnection: close\r\n"))
        try client.send(String(repeating: "a", count: 200_000))
        #expect(client.isOpen)
        try client.send(String(repeating: "a", count: 70_000))
        #expect(!client.isOpen)
    }

    // MARK: The end of the input

    @Test func whoClosesGetsEveryAnswer() throws {
        let client = try EmbeddedClient()
        try client.send(Self.missing + Self.missing)
        client.endInput()
        #expect(try client.statuses() == [401, 401])
        #expect(!client.isOpen)
    }

    @Test func whoClosesWithinAHeadIsNotAnswered() throws {
        let client = try EmbeddedClient()
        try client.send("GET /keyed HTTP/1.1\r\nHo")
        client.endInput()
        #expect(try client.received() == "")
        #expect(!client.isOpen)
    }

    @Test func whoLeavesWithinABodyIsGone() throws {
        let client = try EmbeddedClient()
        try client.send("POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        client.endInput()
        #expect(try client.received() == "")
        #expect(!client.isOpen)
    }

    // MARK: Deadlines

    @Test func whoSaysNothingIsNotKept() throws {
        let client = try EmbeddedClient()
        client.advance(by: .seconds(3))
        #expect(try client.received() == "")
        #expect(!client.isOpen)
    }

    @Test func aLateHeadIsAnswered() throws {
        let client = try EmbeddedClient()
        try client.send("GET /keyed HTTP/1.1\r\n")
        client.advance(by: .seconds(3))
        #expect(try client.received().hasPrefix("HTTP/1.1 408 "))
        client.endInput()
        #expect(!client.isOpen)
    }

    @Test func anIdleConnectionIsClosed() throws {
        let client = try EmbeddedClient()
        try client.send(Self.missing)
        _ = try client.received()
        client.advance(by: .seconds(3))
        client.eventLoop.run()
        #expect(!client.isOpen)
    }

    @Test func aBodyThatStopsIsRefused() throws {
        let client = try EmbeddedClient()
        try client.send("POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        client.advance(by: .seconds(3))
        #expect(try client.statuses() == [408])
    }

    // MARK: Room

    @Test func oneTooManyIsTurnedAway() throws {
        let client = try EmbeddedClient(connections: 0)
        #expect(try client.received().hasPrefix("HTTP/1.1 503 "))
        #expect(!client.isOpen)
    }

    @Test func whoTakesNothingAsksNothing() throws {
        let client = try EmbeddedClient()
        client.channel.isWritable = false
        try client.send(Self.missing)
        #expect(try client.received() == "")
        client.channel.isWritable = true
        client.channel.pipeline.fireChannelWritabilityChanged()
        #expect(try client.statuses() == [401])
    }

    @Test func aDrainClosesWhatIsIdle() throws {
        let client = try EmbeddedClient()
        client.loop.announceDrain()
        try client.send(Self.missing)
        #expect(try client.received().contains("\r\nConnection: close\r\n"))
        let idle = try EmbeddedClient()
        idle.connection.closeIfIdle()
        idle.eventLoop.run()
        #expect(!idle.isOpen)
    }

    // MARK: Exchanges

    @Test func keptAliveRequestsShareAnExchange() throws {
        let client = try EmbeddedClient()
        try client.send(Self.missing)
        let first = try #require(client.loop.epoch.exchanges.idle.first.map(ObjectIdentifier.init))
        for _ in 0..<5 {
            try client.send(Self.missing)
            #expect(client.loop.epoch.exchanges.idle.map(ObjectIdentifier.init) == [first])
        }
        #expect(try client.statuses() == Array(repeating: 401, count: 6))
    }

    @Test func anExchangeThatSomebodyHoldsIsNotReused() throws {
        let client = try EmbeddedClient()
        try client.send(Self.missing)
        let held = try #require(client.loop.epoch.exchanges.idle.last)
        try client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        let next = try #require(client.loop.epoch.exchanges.idle.last)
        #expect(next !== held)
        // What comes late reaches nobody else.
        held.responseTimedOut()
        held.heldBodyTimedOut()
        held.paceExpired()
        held.upstreamMissing(.upstreamQueueFull)
        held.upstreamClosed()
        held.clientLeft()
        #expect(try client.statuses() == [401, 404])
        #expect(client.isOpen)
    }

    @Test func aHeadGoesOnInTheExchangeItBeganIn() throws {
        let client = try EmbeddedClient()
        try client.send("GET /keyed HTTP/1.1\r\nHost: a\r\n")
        let held = try #require(client.connection.exchange)
        try client.send("X-Tail: b\r\n\r\n")
        #expect(client.loop.epoch.exchanges.idle.last === held)
        #expect(try client.statuses() == [401])
    }

    @Test func aConnectionThatIsGoneHoldsNothing() throws {
        weak var exchange: Exchange?
        weak var connection: HTTP1Connection?
        do {
            let client = try EmbeddedClient()
            try client.send(Self.missing)
            exchange = client.loop.epoch.exchanges.idle.last
            connection = client.connection
            #expect(exchange != nil)
        }
        #expect(exchange == nil)
        #expect(connection == nil)
    }
}
