// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLS

/// Stands in for a connection to the handler until the TLS handshake is through and it is who is meant. Nothing of a request
/// can be written before.
final class UpstreamHandshake: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let security: SecuredConnection
    private let connection: UpstreamConnection
    private let patience: UpstreamPatience
    /// Nil once it was told.
    private var promise: EventLoopPromise<any Channel>?

    /// - Parameters:
    ///   - connection: takes this one's place.
    ///   - patience: for connecting and the handshake together.
    ///   - promise: told once, whatever becomes of it.
    init(
        _ security: SecuredConnection, for connection: UpstreamConnection, within patience: UpstreamPatience,
        _ promise: EventLoopPromise<any Channel>
    ) {
        self.security = security
        self.connection = connection
        self.patience = patience
        self.promise = promise
    }

    /// There is no connection.
    func fail(_ error: any Error) {
        patience.settle()
        let promise = promise
        self.promise = nil
        promise?.fail(error)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        patience.whenOver {
            let error: any Error =
                context.channel.isActive
                ? HandshakeFailure.tooSlow(server: self.security.server.address)
                : ChannelError.connectTimeout(self.patience.time)
            self.fail(error, closing: context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard promise != nil, TLSClient.isHandshake(event) else {
            return context.fireUserInboundEventTriggered(event)
        }
        if let insecurity = security.establish() { return fail(insecurity, closing: context) }
        connection.security = security
        connection.readsLargeBuffers = true
        do {
            try context.pipeline.syncOperations.addHandler(connection, position: .after(self))
        } catch {
            return fail(error, closing: context)
        }
        patience.settle()
        let promise = promise
        self.promise = nil
        let channel = context.channel
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        promise?.succeed(channel)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let insecurity = security.insecurity(for: error) { return fail(insecurity, closing: context) }
        let failure = (error as? IOError).map { HandshakeFailure.lost(server: security.server.address, $0) }
        fail(failure ?? .ended(by: security), closing: context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(HandshakeFailure.ended(by: security))
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error, closing context: ChannelHandlerContext) {
        fail(error)
        context.close(promise: nil)
    }
}
