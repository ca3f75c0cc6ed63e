// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Stands in front of a connection on a listener with `proxy_protocol` until its ``ProxyHeader`` is whole, tells the
/// connection, and leaves. What follows the header is the client's, encrypted or not.
///
/// The connection is there from the beginning, so that all bounds hold: it is one of `limits.connections`, its head is due within
/// `limits.header_timeout` of its accept, and a drain ends it. Only for an address it doesn't count yet.
final class ProxyHeaderReader: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private enum State {
        case reading
        /// Nobody hears of anything more.
        case refused
        /// It leaves, or has left.
        case over
    }

    private let connection: HTTP1Connection
    private var state = State.reading
    private var input = ByteBuffer()

    init(before connection: HTTP1Connection) {
        self.connection = connection
    }

    func channelActive(context: ChannelHandlerContext) {
        // It has left again already, and nobody knows who it was.
        if case .unknown = connection.peer.client.origin { return leave(context) }
        guard connection.peer.isTrusted else { return refuse(.untrusted, context) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .refused: return
        case .over: return context.fireChannelRead(data)
        case .reading: break
        }
        var received = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = received } else { input.writeBuffer(&received) }
        do throws(ProxyHeader.Flaw) {
            guard let header = try ProxyHeader.read(input) else { return }
            // As it is trusted now: whoever was taken off the list meanwhile names nobody.
            guard connection.peer.seen(by: connection.loop.epoch.snapshot).isTrusted else {
                return refuse(.untrusted, context)
            }
            input.moveReaderIndex(forwardBy: header.length)
            end(header.source, context)
        } catch {
            refuse(ProxyHeaderFailure(error), context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .reading = state, event as? ChannelEvent == .inputClosed else {
            return context.fireUserInboundEventTriggered(event)
        }
        // Whoever only looks whether somebody listens has sent nothing.
        if input.readableBytes > 0 { return refuse(.malformed, context) }
        leave(context)
    }

    private func leave(_ context: ChannelHandlerContext) {
        state = .refused
        context.close(promise: nil)
    }

    private func end(_ source: ProxyHeader.Source, _ context: ChannelHandlerContext) {
        state = .over
        connection.loop.shared.troubles.headers.succeeded()
        connection.introduce(as: source)
        let rest = input
        input = ByteBuffer()
        if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
        // By what it was sent the connection may have ended, and all handlers with it.
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ failure: ProxyHeaderFailure, _ context: ChannelHandlerContext) {
        state = .refused
        input = ByteBuffer()
        connection.loop.refuseHeader(failure, of: connection.peer)
        context.close(promise: nil)
    }
}
