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
        case answering(isLast: Bool)
        /// Our side is shut. The client's is awaited, since a close with octets unread would destroy the answer.
        case lingering
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
        case .answering: state = .answering(isLast: true)
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
        // A client of HTTP/1.0 reads until the end.
        state = .answering(isLast: !head.isKeepAlive || head.version != .http1_1)
        connections.touch(self)
        let pages = pages
        // Readiness is asked of the loops, in their own time. Health checks are seconds apart.
        context.eventLoop.makeFutureWithTask { await pages.answer(to: head.method, head.uri) }
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
        guard error is HTTPParserError else { return context.close(promise: nil) }
        switch state {
        case .idle: refuse(context)
        case .answering: state = .answering(isLast: true)
        // What comes after the last request is no request.
        case .lingering: break
        }
    }

    // MARK: - Answers

    private func send(_ answer: AdminPages.Answer, withBody: Bool) {
        guard let context, case .answering(let isLast) = state else { return }
        state = .idle
        var fields = HTTPHeaders([
            ("Content-Type", answer.type), ("Cache-Control", "no-store"),
            ("Content-Length", "\(answer.body.utf8.count)"),
        ])
        if let allow = answer.allow { fields.add(name: "Allow", value: allow) }
        fields.add(name: "Date", value: String(decoding: date.value(), as: UTF8.self))
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if withBody {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
        }
        // The next request may come before this returns.
        if isLast { state = .lingering }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if isLast { context.close(mode: .output, promise: nil) }
    }

    /// What is no request gets 400 and the end of the connection.
    private func refuse(_ context: ChannelHandlerContext) {
        state = .lingering
        let fields = HTTPHeaders([("Connection", "close"), ("Content-Length", "0")])
        let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
    }
}
