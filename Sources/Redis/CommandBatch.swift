// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets

/// The commands of one tick, which leave in one write: that is what makes pipelining pay.
struct CommandBatch {
    /// Beyond this a buffer that a burst has left behind is given back.
    private static let keptCapacity = 256 * 1024

    private var octets = ByteBuffer()
    private var output = SocketOutput()
    /// Until it leaves.
    var isFlushScheduled = false

    var isEmpty: Bool { octets.readableBytes == 0 }
    /// What the kernel said against a write.
    var failure: IOError? { output.failure }

    /// No handler stands between this one's and the socket.
    mutating func open(_ context: ChannelHandlerContext) {
        output.open(context)
    }

    mutating func append(_ command: RedisCommand, calling call: [UInt8]?) {
        command.write(calling: call, into: &octets)
    }

    /// - Returns: what the kernel hasn't taken, for the channel.
    mutating func send(_ context: ChannelHandlerContext) -> ByteBuffer? {
        output.send(&octets, context)
        guard octets.readableBytes == 0 else {
            defer { octets = ByteBuffer() }
            return octets
        }
        if octets.capacity > Self.keptCapacity { octets = ByteBuffer() } else { octets.clear() }
        return nil
    }
}
