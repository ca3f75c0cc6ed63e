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

    /// No handler stands between this one's and the socket.
    mutating func open(_ context: ChannelHandlerContext) {
        output.open(context)
    }

    mutating func append(_ command: RedisCommand, calling call: ByteBuffer?) {
        command.write(calling: call, into: &octets)
    }

    mutating func flush(_ context: ChannelHandlerContext) {
        output.writeAndFlush(octets, context)
        // New storage only where the socket still holds the old.
        if octets.capacity > Self.keptCapacity { octets = ByteBuffer() } else { octets.clear() }
    }
}
