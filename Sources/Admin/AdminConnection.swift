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

    private enum State: Equatable {
        case idle
        case answering(then: Ending)
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
        if case .answering = state { true } else { false }
    }

    /// Ends it, after the answer that is under way.
    func end() {
        switch state {
        case .idle, .lingering: context?.close(promise: nil)
        case .answering: state = .answering(then: connections.isEnding ? .close : .lingering)
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
        connections.remove(self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), state == .idle else { return }
        // Who has 64 KiB of such answers untaken asks nothing more.
        guard context.channel.isWritable else { return abort() }
        state = .answering(then: Ending(after: head))
        connections.touch(self)
        let pages = pages
        // Readiness is asked of the loops, in their own time. Health checks are seconds apart.
        context.eventLoop.makeFutureWithTask { await pages.answer(to: head) }
            .assumeIsolated().whenSuccess { self.send($0, withBody: head.method != .HEAD) }
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
        // What comes after the last request is no request.
        case .lingering: break
        }
    }

    // MARK: - Answers

    private func send(_ answer: AdminPages.Answer, withBody: Bool) {
        guard let context, case .answering(let ending) = state else { return }
        var fields = HTTPHeaders([
            ("Content-Type", answer.type), ("Cache-Control", "no-store"),
            ("Content-Length", "\(answer.body.readableBytes)"),
        ])
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
