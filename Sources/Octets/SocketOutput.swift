// SPDX-License-Identifier: Apache-2.0

import LibC
package import NIOCore

/// The way of the last handler's octets to a socket: straight to the kernel where the channel holds none, for a tenth of the
/// instructions that a write through a pipeline takes. What the kernel doesn't take at once is for the channel, which waits
/// for room, tells of writability and meets the errors.
///
/// It calls nobody: what it leaves its handler gives to the channel, which may call back before it returns.
package struct SocketOutput {
    /// Nil for what isn't a socket, or has something between it and the handler.
    private var socket: NIOBSDSocket.Handle?
    /// Some of what the channel was given may still be there.
    private var mayBeHeld = false
    /// The kernel tells it once, and the channel then hears that the pipe is broken.
    package private(set) var failure: IOError?

    package init() {}

    /// The channel is active, and no handler changes what this one writes.
    package mutating func open(_ context: ChannelHandlerContext) {
        let transport = context.pipeline.syncOperations
        socket = try? transport.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
    }

    /// The channel is given octets by its handler, to leave before all that are sent from now on.
    package mutating func yield() {
        mayBeHeld = true
    }

    /// Takes from `buffer` what the kernel takes. What is left goes to the channel with a flush.
    ///
    /// Whether the channel is empty is told by octets: where a write of none waits to be flushed, nothing may be sent.
    package mutating func send(_ buffer: inout ByteBuffer, _ context: ChannelHandlerContext) {
        // A channel that isn't active has given its descriptor back, and another may have it.
        if let socket, isEmpty(context), context.channel.isActive {
            buffer.moveReaderIndex(forwardBy: send(buffer, to: socket))
        }
        if buffer.readableBytes > 0 { mayBeHeld = true }
    }

    private mutating func isEmpty(_ context: ChannelHandlerContext) -> Bool {
        guard mayBeHeld else { return true }
        mayBeHeld = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) != 0
        return !mayBeHeld
    }

    /// - Returns: how many octets the kernel has taken; none where it can't, for whatever reason.
    private mutating func send(_ buffer: ByteBuffer, to socket: NIOBSDSocket.Handle) -> Int {
        buffer.withUnsafeReadableBytes { octets in
            while true {
                let sent = LibC.send(socket, octets.baseAddress, octets.count, CInt(MSG_NOSIGNAL))
                if sent >= 0 { return sent }
                switch errno {
                case EINTR: continue
                case EAGAIN: return 0
                case let code:
                    failure = failure ?? IOError(errnoCode: code, reason: "send")
                    return 0
                }
            }
        }
    }
}
