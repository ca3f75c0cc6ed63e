// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Lets TLS have a record's worth at a time, both ways.
///
/// NIOSSL decrypts all that is read before it is told that reading is over into one buffer, and encrypts all that lies
/// between two flushes into another. It keeps both for as long as the connection lives. Its configuration has a bound for
/// the second, which 2.37.6 doesn't heed: `NIOSSLHandler.handlerAdded` hands `.max` on.
///
/// It stands right behind the TLS handler. Nothing leaves before somebody flushes. A flush or a close from within a
/// flush, as when the channel tells that it is writable again, waits its turn.
package final class RecordSlices: ChannelOutboundHandler {
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Payload of one slice, in octets: encrypted, with header, nonce and tag (RFC 5246 §6.2.3, RFC 8446 §5.2), it fits
    /// in the 16 KiB that NIOSSL begins with.
    package static let length = 16 * 1024 - 256

    /// Writes whose places in the queue are kept between two flushes.
    private static let keptRoom = 16

    private typealias Write = (octets: ByteBuffer, promise: EventLoopPromise<Void>?)
    private typealias Close = (mode: CloseMode, promise: EventLoopPromise<Void>?)

    private var waiting = MarkedCircularBuffer<Write>(initialCapacity: 1)
    private var isFlushing = false
    private var closes: [Close] = []

    package init() {}

    package func handlerAdded(context: ChannelHandlerContext) {
        guard let options = context.channel.syncOptions else { return }
        do {
            try options.setOption(.maxMessagesPerRead, value: 1)
            try options.setOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: 16 * 1024))
        } catch {
            // It has closed already, and reads nothing.
        }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        waiting.append((unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        waiting.mark()
        guard !isFlushing else { return }
        let isLong = waiting.count > Self.keptRoom
        isFlushing = true
        // The last flush may have called back as well.
        repeat { handOn(context) } while waiting.hasMark
        isFlushing = false
        // An idle connection must not hold on to the room of a long queue.
        if isLong, waiting.isEmpty { waiting = MarkedCircularBuffer(initialCapacity: 1) }
        let due = closes
        closes = []
        for close in due { context.close(mode: close.mode, promise: close.promise) }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard !isFlushing else { return closes.append((mode, promise)) }
        context.close(mode: mode, promise: promise)
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        while let write = waiting.popFirst() { write.promise?.fail(ChannelError.ioOnClosedChannel) }
    }

    private func handOn(_ context: ChannelHandlerContext) {
        var room = Self.length
        while waiting.hasMark, case (var octets, let promise)? = waiting.popFirst() {
            while octets.readableBytes > room, let slice = octets.readSlice(length: room) {
                context.writeAndFlush(wrapOutboundOut(slice), promise: nil)
                room = Self.length
            }
            room -= octets.readableBytes
            context.write(wrapOutboundOut(octets), promise: promise)
            if room == 0 {
                context.flush()
                room = Self.length
            }
        }
        context.flush()
    }
}
