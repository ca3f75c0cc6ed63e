// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import Telemetry

/// One connection of the admin address: an answer to each request, as soon as its head is there.
///
/// Behind NIOHTTP1's pipelining handler, so that one request comes at a time. What is in a request's body is nobody's
/// business and passed over.
final class AdminConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case answering(then: Ending)
        /// Events of the page, until one of both sides has enough.
        case streaming(PageStream)
        /// Our side is shut. The client's is awaited, since a close with octets unread would destroy the answer.
        case lingering
    }

    /// What comes after an answer.
    private enum Ending: Equatable {
        case another
        case lingering
        /// At once: what follows would be kept and never read, or there is no time left.
        case close

        init(after head: HTTPRequestHead) {
            // NIOHTTP1 parses nothing behind these two.
            if head.method == .CONNECT || head.headers.contains(name: "Upgrade") {
                self = .close
            } else {
                // A client of HTTP/1.0 reads until the end.
                self = head.isKeepAlive && head.version == .http1_1 ? .another : .lingering
            }
        }
    }

    private let pages: AdminPages
    private let connections: AdminConnections
    private var state = State.idle
    private var context: ChannelHandlerContext?
    private var date = DateField()

    init(_ pages: AdminPages, among connections: AdminConnections) {
        self.pages = pages
        self.connections = connections
    }

    var isAnswering: Bool {
        switch state {
        case .answering, .streaming: true
        case .idle, .lingering: false
        }
    }

    /// Ends it, after the answer that is under way.
    func end() {
        switch state {
        case .idle, .lingering: context?.close(promise: nil)
        case .answering: state = .answering(then: connections.isEnding ? .close : .lingering)
        case .streaming:
            guard let context else { return }
            endStream()
            finish(context, .close)
        }
    }

    /// Ends it, whatever is under way.
    func abort() {
        context?.close(promise: nil)
    }

    // MARK: - The channel's events

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        connections.add(self)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        endStream()
        connections.remove(self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), case .idle = state else { return }
        // Who has 64 KiB of such answers untaken asks nothing more.
        guard context.channel.isWritable else { return abort() }
        state = .answering(then: Ending(after: head))
        connections.touch(self)
        let pages = pages
        // Readiness is asked of the loops, in their own time. Health checks are seconds apart.
        context.eventLoop.makeFutureWithTask { await pages.reply(to: head) }
            .assumeIsolated().whenSuccess { reply in
                switch reply {
                case .whole(let answer): self.send(answer, withBody: head.method != .HEAD)
                case .events(let after): self.stream(after: after, in: head.version)
                }
            }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        tellNews()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as IdleStateHandler.IdleStateEvent where event == .read:
            if !isAnswering { context.close(promise: nil) }
        case let event as ChannelEvent where event == .inputClosed:
            end()
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else { return context.close(promise: nil) }
        switch state {
        case .idle: refuse(context, error)
        case .answering: state = .answering(then: .close)
        case .streaming: end()
        // What comes after the last request is no request.
        case .lingering: break
        }
    }

    // MARK: - Answers

    private func send(_ answer: AdminPages.Answer, withBody: Bool) {
        guard let context, case .answering(let ending) = state else { return }
        var fields = HTTPHeaders([
            ("Content-Type", answer.type), ("Cache-Control", answer.cacheControl),
        ])
        // RFC 9110 §8.6: there it would be that of the file.
        if answer.status != .notModified {
            fields.add(name: "Content-Length", value: "\(answer.body.readableBytes)")
        }
        fields.add(contentsOf: answer.others)
        if let allow = answer.allow { fields.add(name: "Allow", value: allow) }
        fields.add(name: "Date", value: String(decoding: date.value(), as: UTF8.self))
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if withBody {
            context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
        }
        // The next request may come before this returns.
        state = ending == .another ? .idle : .lingering
        finish(context, ending)
    }

    // MARK: Events

    /// - Parameter version: of the client; one of HTTP/1.0 knows no chunks, and reads until the connection's end.
    private func stream(after second: Int?, in version: HTTPVersion) {
        guard let context, case .answering(let ending) = state else { return }
        guard ending != .close else { return send(AdminPages.ending, withBody: true) }
        guard let streams = connections.streams, streams.join(self) else {
            return send(AdminPages.crowded, withBody: true)
        }
        state = .streaming(PageStream(after: second))
        var fields = HTTPHeaders([
            ("Content-Type", PageEvent.type), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
            ("Date", String(decoding: date.value(), as: UTF8.self)),
        ])
        let isOld = version == .http1_0
        if isOld { fields.add(name: "Connection", value: "close") }
        // By its version NIOHTTP1 knows whether to write chunks.
        let head = HTTPResponseHead(version: isOld ? .http1_0 : .http1_1, status: .ok, headers: fields)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        tellNews()
    }

    /// Writes what there is to tell, as far as its client takes it.
    func tellNews() {
        guard let context, let board = connections.streams?.board else { return }
        while context.channel.isWritable, case .streaming(var stream) = state, let event = stream.next(of: board) {
            // First: a write may tell of room, or of the end, before it returns.
            state = .streaming(stream)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(event))), promise: nil)
        }
    }

    /// A second has passed: whoever hasn't taken anything for too long is cut off.
    func streamBeat() {
        guard let context, case .streaming(var stream) = state else { return }
        let isAlive = stream.beat(isWritable: context.channel.isWritable)
        state = .streaming(stream)
        isAlive ? tellNews() : abort()
    }

    private func endStream() {
        guard case .streaming = state else { return }
        state = .lingering
        connections.streams?.leave(self)
    }

    /// Writes the end of an answer.
    private func finish(_ context: ChannelHandlerContext, _ ending: Ending) {
        let written = context.eventLoop.makePromise(of: Void.self)
        if ending == .close {
            let channel = context.channel
            written.futureResult.assumeIsolated().whenComplete { _ in channel.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
        if ending == .lingering { context.close(mode: .output, promise: nil) }
    }

    /// What is no request gets 400 and the end of the connection.
    private func refuse(_ context: ChannelHandlerContext, _ error: HTTPParserError) {
        state = .lingering
        let fields = HTTPHeaders([("Connection", "close"), ("Content-Length", "0")])
        let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        // Behind another version nothing is parsed either.
        finish(context, error == .invalidVersion ? .close : .lingering)
    }
}
