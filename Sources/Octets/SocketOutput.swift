// SPDX-License-Identifier: Apache-2.0

import LibC
package import NIOCore

/// The way of the last handler's octets to a socket: straight to the kernel where the channel holds none, for a third of the
/// instructions that a write through a pipeline takes. What the kernel doesn't take at once goes to the channel, which waits
/// for room, tells of writability and meets the errors.
package struct SocketOutput {
    /// Nil for what isn't a socket, or has something between it and the handler.
    private var socket: NIOBSDSocket.Handle?
    /// Some of what the channel was given may still be there.
    private var mayBeHeld = false

    package init() {}

    /// The channel is active, and no handler changes what this one writes.
    package mutating func open(_ context: ChannelHandlerContext) {
        let transport = context.pipeline.syncOperations
        socket = try? transport.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
    }

    /// To leave with the next flush, by the channel.
    package mutating func write(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        mayBeHeld = true
        context.write(NIOAny(buffer), promise: nil)
    }

    /// After all that was written before.
    package mutating func writeAndFlush(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        var rest = buffer
        // A channel that isn't active has given its descriptor back, and another may have it.
        if let socket, isEmpty(context), context.channel.isActive {
            rest.moveReaderIndex(forwardBy: Self.send(buffer, to: socket))
            guard rest.readableBytes > 0 else { return }
        }
        mayBeHeld = true
        context.writeAndFlush(NIOAny(rest), promise: nil)
    }

    private mutating func isEmpty(_ context: ChannelHandlerContext) -> Bool {
        guard mayBeHeld else { return true }
        mayBeHeld = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) != 0
        return !mayBeHeld
    }

    /// - Returns: how many octets the kernel has taken; none where it can't, for whatever reason.
    private static func send(_ buffer: ByteBuffer, to socket: NIOBSDSocket.Handle) -> Int {
        buffer.withUnsafeReadableBytes { octets in
            while true {
                let sent = LibC.send(socket, octets.baseAddress, octets.count, CInt(MSG_NOSIGNAL))
                if sent >= 0 { return sent }
                if errno != EINTR { return 0 }
            }
        }
    }
}
