// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// What a client and a handler owe in time, and what becomes of connections when there are too many or the process ends.
extension HTTP1ConnectionTests {
    private static let slow = """
        routes: [{path: "/open/{rest*}", public: true, throttle: false}]
        upstream: {url: "http://127.0.0.1:1", connect_timeout: 1s, response_timeout: 30s}
        limits: {idle_timeout: 10s, stall_timeout: 2s}
        """
    private static let long = "POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    private static let much = String(repeating: "a", count: 20_000)

    @Test func aBodyThatDripsIsRefused() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.long + Self.much)
        #expect(client.handlers.count == 1)
        for _ in 0..<3 {
            client.advance(by: .milliseconds(900))
            try client.send("a")
        }
        client.advance(by: .milliseconds(1500))
        #expect(try client.statuses() == [408])
        #expect(try !client.handler.isOpen)
    }

    @Test func aBodyAtItsPaceIsNot() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.long + Self.much)
        for _ in 0..<8 {
            client.advance(by: .milliseconds(500))
            try client.send(String(repeating: "a", count: 900))
        }
        #expect(try client.received() == "")
        #expect(try client.handler.isOpen && client.isOpen)
    }

    @Test func aHandlerThatTakesNoBodyIsAnsweredFor() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.long + Self.much)
        try client.handler.channel.isWritable = false
        // It holds things up, not the client.
        try client.send(Self.much)
        client.advance(by: .seconds(11))
        #expect(try client.statuses() == [504])
    }

    @Test func aHandlerThatTakesBytesAgainGetsTheRest() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.long + Self.much)
        let handler = try client.handler
        _ = try client.forwarded()
        handler.channel.isWritable = false
        try client.send(Self.much)
        #expect(try client.forwarded() == "")
        handler.channel.isWritable = true
        handler.channel.pipeline.fireChannelWritabilityChanged()
        #expect(try client.forwarded() == Self.much)
    }

    @Test func aClientThatTakesNothingHoldsItsHandlerBack() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.get)
        let handler = try client.handler
        let reads = handler.gauge.reads
        client.channel.isWritable = false
        try handler.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        handler.channel.pipeline.read()
        #expect(handler.gauge.reads == reads)
        client.channel.isWritable = true
        client.channel.pipeline.fireChannelWritabilityChanged()
        #expect(handler.gauge.reads == reads + 1)
    }

    @Test func aHandlerThatCannotBeReachedIsAnsweredFor() throws {
        let client = try EmbeddedClient(Self.slow, handler: false)
        try client.send(Self.get)
        try client.handler.answer(.failure(IOError(errnoCode: 111, reason: "connect")))
        #expect(try client.statuses() == [502])
        #expect(client.isOpen)
    }

    @Test func nobodyWaitsForAConnectionWithoutEnd() throws {
        let client = try EmbeddedClient(Self.slow, handler: false)
        try client.send(Self.get)
        let handler = try client.handler
        #expect(handler.time <= .seconds(1))
        handler.answer(.failure(ChannelError.connectTimeout(handler.time)))
        #expect(try client.statuses() == [504])
        #expect(client.isOpen)
    }

    @Test func aConnectionLostInThePoolIsReplaced() throws {
        let client = try EmbeddedClient(Self.slow)
        try client.send(Self.get)
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.statuses() == [200])
        let first = try client.handler
        try client.send(Self.get)
        #expect(client.handlers.count == 1)
        first.end()
        // A GET that met a closing connection is sent again.
        #expect(client.handlers.count == 2)
        #expect(try client.forwarded().hasPrefix("GET /open/a HTTP/1.1\r\n"))
    }

    // MARK: Room

    @Test func theOldestIdleConnectionMakesRoom() throws {
        let idle = try EmbeddedClient(connections: 1)
        try idle.send(Self.missing)
        let other = try EmbeddedClient(besides: idle)
        try other.send(Self.missing)
        #expect(try other.statuses() == [401])
        #expect(!idle.isOpen && other.isOpen)
    }

    @Test func whoIsBeingServedMakesNone() throws {
        let busy = try EmbeddedClient(connections: 1)
        try busy.send(Self.get)
        let other = try EmbeddedClient(besides: busy)
        #expect(try other.statuses() == [503])
        #expect(busy.isOpen && !other.isOpen)
    }

    // MARK: The end

    @Test func aDrainEndsWithTheLastConnection() throws {
        let idle = try EmbeddedClient()
        let busy = try EmbeddedClient(besides: idle)
        try busy.send(Self.get)
        idle.loop.announceDrain()
        let drained = idle.loop.drain()
        let isDrained = Flag()
        drained.assumeIsolated().whenSuccess { isDrained.isRaised = true }
        idle.advance(by: .milliseconds(1200))
        #expect(!idle.isOpen && busy.isOpen && !isDrained.isRaised)
        try busy.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try busy.received().contains("\r\nConnection: close\r\n"))
        busy.eventLoop.run()
        #expect(!busy.isOpen && isDrained.isRaised)
    }

    @Test func whatADrainWaitedForInVainIsCut() throws {
        let client = try EmbeddedClient()
        try client.send(Self.get)
        let handler = try client.handler
        client.loop.announceDrain()
        let drained = client.loop.drain()
        client.loop.cut()
        client.eventLoop.run()
        #expect(!client.isOpen && !handler.isOpen)
        try drained.wait()
    }
}

private final class Flag {
    var isRaised = false
}
