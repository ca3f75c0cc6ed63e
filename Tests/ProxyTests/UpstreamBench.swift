// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import NIOEmbedded
import NIOPosix
import TestSupport

@testable import Proxy

/// A pool with its connector and connections, whose handler is the test: no socket, and a clock that it moves.
final class UpstreamBench {
    let loop = EmbeddedEventLoop()
    let clock: LoopClock
    let log = RecordedLog()
    private(set) var pool: UpstreamPool
    private let calls: Calls

    /// What is dialled, in this order.
    final class Calls {
        fileprivate(set) var lines: [UpstreamLine] = []
        /// Nil: it waits.
        var answer: (SocketAddress) -> Result<Void, any Error>? = { _ in .success(()) }
        /// Of whoever listens.
        var heard: [String] = []
    }

    init(capacity: Int = 4, fixedAddress: Bool = true, responseHeadLimit: Int = 1024) throws {
        let (loop, calls) = (loop, Calls())
        let clock = LoopClock { loop.now }
        let configuration = Snapshot.Upstream(
            fixedAddress: fixedAddress ? try SocketAddress(ipAddress: "127.0.0.1", port: 8081) : nil,
            address: "127.0.0.1:8081", authority: Array("127.0.0.1:8081".utf8), ownName: nil,
            connectTimeout: .seconds(5), idleTimeout: .seconds(60), maxConnections: capacity,
            responseHeadLimit: responseHeadLimit)
        let connector = UpstreamConnector(configuration: configuration, resolver: nil, on: loop, clock: clock) {
            let line = UpstreamLine($0, to: $1, within: $2, on: loop)
            calls.lines.append(line)
            calls.heard.append("dial \($1.port ?? 0)")
            if let answer = calls.answer($1) { line.answer(answer) }
            return line.dialled.futureResult
        }
        self.calls = calls
        self.clock = clock
        pool = UpstreamPool(
            configuration: configuration, capacity: capacity, connector: connector, clock: clock,
            trouble: Troubles(logger: log.logger).connecting)
    }

    var lines: [UpstreamLine] { calls.lines }

    var heard: [String] { calls.heard }

    func answers(_ answer: @escaping (SocketAddress) -> Result<Void, any Error>?) { calls.answer = answer }

    /// A new request, which asks at once.
    func ask(
        _ name: String = "", of caller: String = "acme/a", method: HTTP1.Method = .get,
        _ freshness: Exchange.Freshness = .any
    ) -> UpstreamRequest {
        let request = UpstreamRequest(name, method: method, pool: pool) { self.calls.heard.append($0) }
        request.ticket = pool.acquire(for: request, of: .key(caller), freshness, at: clock.read())
        return request
    }

    func advance(by time: TimeAmount) {
        loop.advanceTime(by: time)
        pool.expire(at: clock.read())
    }

    /// Nothing runs meanwhile.
    func standStill(for time: TimeAmount) {
        loop.advanceTime(by: time)
        pool.shift(by: time)
        pool.expire(at: clock.read())
    }
}

/// One connection as the handler has it.
final class UpstreamLine {
    let channel: EmbeddedChannel
    let gauge = Gauge()
    let patience: UpstreamPatience
    let dialled: EventLoopPromise<any Channel>
    private let address: SocketAddress
    private let connection: UpstreamConnection

    /// Looks at what leaves the connection.
    final class Gauge: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        var reads = 0
        var holdsWrites = false
        private(set) var isOutputClosed = false

        /// An embedded channel has no sides.
        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            guard mode == .output else { return context.close(mode: mode, promise: promise) }
            isOutputClosed = true
            promise?.succeed()
        }

        func read(context: ChannelHandlerContext) {
            reads += 1
            context.read()
        }

        func flush(context: ChannelHandlerContext) {
            if !holdsWrites { context.flush() }
        }
    }

    init(
        _ connection: UpstreamConnection, to address: SocketAddress, within patience: UpstreamPatience,
        on loop: EmbeddedEventLoop
    ) {
        self.connection = connection
        self.address = address
        self.patience = patience
        channel = EmbeddedChannel(handlers: [], loop: loop)
        dialled = loop.makePromise()
    }

    func answer(_ answer: Result<Void, any Error>) {
        switch answer {
        case .success:
            do {
                try channel.pipeline.syncOperations.addHandlers([gauge, connection])
                channel.connect(to: address, promise: nil)
                dialled.succeed(channel)
            } catch {
                dialled.fail(error)
            }
        case .failure(let error): dialled.fail(error)
        }
    }

    var isOpen: Bool { channel.isActive }

    /// All that was held back leaves.
    func letGo() {
        gauge.holdsWrites = false
        channel.flush()
    }

    var time: TimeAmount { patience.time }

    /// - Parameter size: octets a piece; nil for all at once.
    func send(_ octets: String, by size: Int? = nil) throws {
        let octets = Array(octets.utf8)
        for start in stride(from: 0, to: octets.count, by: size ?? max(1, octets.count)) {
            guard isOpen else { return }
            let end = min(octets.count, start + (size ?? octets.count))
            try channel.writeInbound(ByteBuffer(bytes: octets[start..<end]))
        }
    }

    func end() { channel.close(promise: nil) }

    func reset() {
        channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
    }

    func taken() throws -> String {
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
        return text
    }
}

/// Whoever asks, and writes down what it is told; a body as one piece.
final class UpstreamRequest: UpstreamReceiver {
    private let name: String
    private let method: HTTP1.Method
    private let pool: UpstreamPool
    private let tell: (String) -> Void
    private(set) var heard: [String] = []
    private(set) var flushes = 0
    private(set) var connection: UpstreamConnection?
    var ticket: UpstreamPool.Ticket?
    var isWritable = true
    /// Storage of all that was sent: what holding on to it would cost.
    private(set) var storage = 0
    /// What it does on being told that.
    var then: [String: (UpstreamRequest) -> Void] = [:]

    init(_ name: String, method: HTTP1.Method, pool: UpstreamPool, _ tell: @escaping (String) -> Void) {
        self.name = name
        self.method = method
        self.pool = pool
        self.tell = tell
    }

    private func hear(_ what: String) {
        heard.append(what)
        tell(name.isEmpty ? what : "\(name): \(what)")
        then[what]?(self)
    }

    func upstreamArrived(_ connection: UpstreamConnection, isReused: Bool) {
        self.connection = connection
        connection.attach(to: self, method: method)
        hear(isReused ? "reused" : "new")
    }

    func upstreamMissing(_ fault: Exchange.Fault) { hear("missing, \(fault)") }
    func upstreamTakesBody() { hear("takes") }
    func upstreamInformed(_ response: ResponseHead) { hear("informed \(response.status)") }
    func upstreamBegan(_ response: ResponseHead, on connection: UpstreamConnection) {
        hear(connection.isSpent ? "began \(response.status), spent" : "began \(response.status)")
    }
    func upstreamSwitched(_ response: ResponseHead, on connection: UpstreamConnection) {
        hear("switched \(response.status)")
    }

    func upstreamSent(_ payload: ByteBuffer) {
        storage += payload.storageCapacity
        if let last = heard.last, last.hasPrefix("sent ") {
            heard[heard.count - 1] = last + String(buffer: payload)
        } else {
            hear("sent \(String(buffer: payload))")
        }
    }

    func upstreamEnded(trailers: ByteBuffer?, isReusable: Bool) {
        hear("ended" + (isReusable ? ", reusable" : "") + (trailers.map { ", \(String(buffer: $0))" } ?? ""))
        guard let connection else { return }
        self.connection = nil
        guard isReusable else { return connection.close() }
        connection.detach()
        pool.release(connection)
    }

    func upstreamFailed(_ fault: Exchange.Fault) {
        hear("failed, \(fault)")
        connection?.close()
        connection = nil
    }

    func upstreamClosed() {
        connection = nil
        hear("closed")
    }

    func flushResponse() { flushes += 1 }
}
