// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import Octets

/// The commands of one tick, which leave in one write: that is what makes pipelining pay.
struct CommandBatch {
    /// Beyond this a buffer that a burst has left behind is given back.
    private static let keptCapacity = 256 * 1024

    private var octets = ByteBuffer()
    private var output = SocketOutput()
    /// What the kernel wouldn't take, as nobody is at the other end any more.
    private var refused = ByteBuffer()
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
            if let failure = output.failure, failure.errnoCode == EPIPE || failure.errnoCode == ECONNRESET {
                refused.writeImmutableBuffer(octets)
            }
            return octets
        }
        if octets.capacity > Self.keptCapacity { octets = ByteBuffer() } else { octets.clear() }
        return nil
    }

    /// Lets go of the commands that the kernel never had, of a connection that is gone. What was given to the channel may have
    /// left in part, unless the kernel had said before that nothing leaves any more.
    ///
    /// - Returns: how many they are, the newest ones.
    mutating func dropUnsent() -> Int {
        defer { (octets, refused) = (ByteBuffer(), ByteBuffer()) }
        return refused.commandCount + octets.commandCount
    }
}

extension ByteBuffer {
    /// Of whole commands (``RedisCommand/write(calling:into:)``). They are counted when a connection is lost, rather than each
    /// as it is sent. Of anything else none: what isn't known to be unsent stays in doubt.
    fileprivate var commandCount: Int {
        var (rest, count) = (self, 0)
        while rest.readableBytes > 0 {
            guard rest.skipCommand() else {
                assertionFailure("A command is sent as a whole")
                return 0
            }
            count += 1
        }
        return count
    }

    private mutating func skipCommand() -> Bool {
        guard let arguments = readNumber(behind: UInt8(ascii: "*")) else { return false }
        for _ in 0..<arguments {
            guard let length = readNumber(behind: UInt8(ascii: "$")), readSlice(length: length + 2) != nil else {
                return false
            }
        }
        return true
    }

    /// With its end of line.
    private mutating func readNumber(behind sign: UInt8) -> Int? {
        guard readInteger(as: UInt8.self) == sign else { return nil }
        var number = 0
        while let octet = readInteger(as: UInt8.self) {
            switch octet {
            case UInt8(ascii: "0")...UInt8(ascii: "9") where number < 1 << 32:
                number = number * 10 + Int(octet - UInt8(ascii: "0"))
            case UInt8(ascii: "\r"): return readInteger(as: UInt8.self) == UInt8(ascii: "\n") ? number : nil
            default: return nil
            }
        }
        return nil
    }
}
