// SPDX-License-Identifier: Apache-2.0

import Admission
import Foundation
import HTTP1
import Logging
import NIOCore
import NIOEmbedded
import Redis
import Settings
import Telemetry
import TestSupport
import Testing

@testable import Proxy

/// A client's connection without a network: what it sends goes into an ``HTTP1Connection``, and what that writes comes out.
/// The gate has no Redis any more, and the handler is the test.
final class EmbeddedClient {
    static let configuration = """
        routes:
          - {path: "/open/{rest*}", public: true, throttle: false}
          - {path: "/keyed", methods: [GET]}
        upstream: {url: "http://127.0.0.1:1", response_timeout: 2s}
        limits: {header_timeout: 1s, idle_timeout: 2s, stall_timeout: 2s}
        """

    let eventLoop: EmbeddedEventLoop
    let loop: Loop
    let channel: EmbeddedChannel
    let connection: HTTP1Connection
    let socket = HalfClosingSocket()
    let log: RecordedLog
    private let accessLog: AccessLogPipe?
    private let dialled: Dialled

    /// Connections to the handler, in the order in which they were asked for.
    private final class Dialled {
        var lines: [UpstreamLine] = []
    }

    /// - Parameters:
    ///   - handler: takes connections; else nobody answers.
    ///   - keys: that the gate has read before it lost its Redis.
    ///   - address: that it comes from.
    ///   - isLogged: there is an access log.
    ///   - isProxied: it begins with a header of the PROXY protocol.
    init(
        _ configuration: String = EmbeddedClient.configuration, connections: Int = 100, handler: Bool = true,
        knowing keys: [KnownKey] = [], from address: String = "192.0.2.1", isLogged: Bool = false,
        isProxied: Bool = false
    ) throws {
        (eventLoop, log, dialled) = (EmbeddedEventLoop(), RecordedLog(), Dialled())
        accessLog = isLogged ? AccessLogPipe(logger: log.logger) : nil
        var settings = try Settings.parse(configuration, named: "test.yaml")
        settings.limits.connections = connections
        let snapshot = try Snapshot(settings)
        let shared = Shared(snapshot.bounds, troubles: Troubles(logger: log.logger), logger: log.logger)
        let (eventLoop, dialled) = (eventLoop, dialled)
        let clock = LoopClock { eventLoop.now }
        let connector = UpstreamConnector(
            configuration: snapshot.upstream, resolver: nil, on: eventLoop, clock: clock
        ) {
            let line = UpstreamLine($0, to: $1, within: $2, on: eventLoop)
            dialled.lines.append(line)
            if handler { line.answer(.success(())) }
            return line.dialled.futureResult
        }
        let gate = Gate.withoutRedis(snapshot.admission, knowing: keys, on: eventLoop, logger: log.logger)
        let epoch = Epoch(
            snapshot, gate: gate,
            pool: UpstreamPool(
                configuration: snapshot.upstream, capacity: snapshot.upstream.maxConnections, connector: connector,
                clock: clock, trouble: shared.troubles.connecting))
        loop = Loop(
            on: eventLoop, epoch, share: LoopShare(index: 0, count: 1), shared, accessLog: accessLog?.log, clock: clock)
        (connection, channel) = try Self.connect(to: loop, from: address, socket, isProxied: isProxied)
    }

    /// Another client of the same loop.
    init(besides other: EmbeddedClient, from address: String = "192.0.2.2", isProxied: Bool = false) throws {
        loop = other.loop
        eventLoop = other.eventLoop
        log = other.log
        accessLog = other.accessLog
        dialled = other.dialled
        (connection, channel) = try Self.connect(to: loop, from: address, socket, isProxied: isProxied)
    }

    private static func connect(
        to loop: Loop, from address: String, _ socket: HalfClosingSocket, isProxied: Bool
    ) throws -> (HTTP1Connection, EmbeddedChannel) {
        let address = try SocketAddress(ipAddress: address, port: 4711)
        let snapshot = loop.epoch.snapshot
        let peer = Peer(address, trusted: snapshot.trustedProxies, countedBy: snapshot.admission.addressPrefix)
        let connection = HTTP1Connection(on: loop, peer: isProxied ? peer.awaited(by: snapshot) : peer)
        let eventLoop = try #require(loop.eventLoop as? EmbeddedEventLoop)
        let reader: [any ChannelHandler] = isProxied ? [ProxyHeaderReader(before: connection)] : []
        let channel = EmbeddedChannel(handlers: [socket] + reader + [connection], loop: eventLoop)
        channel.connect(to: address, promise: nil)
        return (connection, channel)
    }

    deinit {
        // What is under way refers to itself until its channel is gone.
        channel.close(promise: nil)
        eventLoop.run()
        for line in dialled.lines { line.end() }
        loop.epoch.pool.close()
        eventLoop.run()
    }

    var isOpen: Bool { channel.isActive }

    /// - Parameter size: of the pieces it comes in; nil: in one.
    func send(_ text: String, inPiecesOf size: Int? = nil) throws {
        try send(octets: Array(text.utf8), inPiecesOf: size)
    }

    func send(octets: [UInt8], inPiecesOf size: Int? = nil) throws {
        var rest = ByteBuffer(bytes: octets)
        while rest.readableBytes > 0 {
            let length = min(size ?? rest.readableBytes, rest.readableBytes)
            guard channel.isActive, let piece = rest.readSlice(length: length) else { return }
            // Each in a storage of its own, as a socket gives them.
            try channel.writeInbound(ByteBuffer(bytes: piece.readableBytesView))
        }
        eventLoop.run()
    }

    /// The client closes its sending side.
    func endInput() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        eventLoop.run()
    }

    /// It is gone, with both sides at once.
    func leave() {
        channel.close(promise: nil)
        eventLoop.run()
    }

    /// All that was written since the last time; dates and names that are new each time are replaced.
    func received() throws -> String {
        eventLoop.run()
        return try Self.text(of: channel)
    }

    /// The same as answers, of which nothing is replaced.
    func answers(to method: String = "GET") throws -> [ClientAnswer] {
        eventLoop.run()
        return try ClientAnswer.read(Self.octets(of: channel), answering: method)
    }

    private static func octets(of channel: EmbeddedChannel) throws -> [UInt8] {
        var octets: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { octets += part.readableBytesView }
        return octets
    }

    static func text(of channel: EmbeddedChannel) throws -> String {
        var text = String(decoding: try octets(of: channel), as: UTF8.self)
        text.replace(#/Date: [^\r]*/#, with: "Date: now")
        text.replace(#/X-Correlation-ID: [^\r]*/#, with: "X-Correlation-ID: id")
        text.replace(#/"correlation_id":"[^"]*"/#, with: #""correlation_id":"id""#)
        return text
    }

    /// The statuses of what was written, in order.
    func statuses() throws -> [Int] {
        try received().components(separatedBy: "HTTP/1.1 ").dropFirst().compactMap { Int($0.prefix(3)) }
    }

    /// The handler's end of the connection that was asked for last.
    var handler: UpstreamLine {
        get throws {
            eventLoop.run()
            return try #require(dialled.lines.last)
        }
    }

    var handlers: [UpstreamLine] { dialled.lines }

    /// What the handler was sent since the last time.
    func forwarded() throws -> String { try Self.text(of: handler.channel) }

    /// The next lines of the access log: their members of these names, `-` where one has none.
    func logged(_ count: Int, _ members: String...) throws -> [String] {
        eventLoop.run()
        loop.accessLog?.flush()
        return try #require(accessLog).lines(count, members)
    }

    /// Time passes, in ticks as they come.
    func advance(by time: TimeAmount) {
        let end = eventLoop.now + time
        while eventLoop.now < end {
            eventLoop.advanceTime(by: min(TickPace.interval, end - eventLoop.now))
            loop.expire(at: loop.readClock())
        }
        eventLoop.run()
    }
}

/// What an embedded channel lacks: one side may be closed alone.
final class HalfClosingSocket: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var isOutputClosed = false

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        isOutputClosed = true
        promise?.succeed(())
    }
}
