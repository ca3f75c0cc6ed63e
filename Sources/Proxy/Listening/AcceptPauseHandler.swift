// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import NIOCore

/// Stops a listener for a moment when a connection can't be accepted: without descriptors the kernel goes on announcing
/// it, and to look each time would keep the loop busy with nothing else.
///
/// NIO's own `AcceptBackoffHandler` withholds reads, but leaves the listener registered with the selector, which spins
/// (swift-nio 2.101).
final class AcceptPauseHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let pause = TimeAmount.milliseconds(100)
    private static let shortages = [EMFILE, ENFILE, ENOBUFS, ENOMEM]

    private let trouble: Trouble
    private var isPausing = false
    private var hasEnded = false

    init(trouble: Trouble) {
        self.trouble = trouble
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Else it is about one connection that its client has left again, or about its set-up.
        guard let error = error as? IOError, Self.shortages.contains(error.errnoCode) else { return }
        trouble.failed(error)
        guard !isPausing, !hasEnded else { return }
        isPausing = true
        accept(false, context)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.isPausing = false
            if !self.hasEnded, context.channel.isActive { self.accept(true, context) }
        }
    }

    /// Accepts nothing more, whatever pause is under way.
    func end(_ channel: any Channel) throws {
        hasEnded = true
        try channel.syncOptions?.setOption(.autoRead, value: false)
    }

    private func accept(_ accepts: Bool, _ context: ChannelHandlerContext) {
        // It fails on a closed channel, which accepts nothing anyway.
        try? context.channel.syncOptions?.setOption(.autoRead, value: accepts)
    }
}
