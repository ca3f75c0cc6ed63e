// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One command, its arguments encoded as RESP bulk strings as they are appended.
///
/// The head (`*n`, and for a script `EVALSHA` with the digest the server gave) is written when the command is sent, so that
/// the same value can be sent again after NOSCRIPT.
package struct RedisCommand: Sendable {
    let script: RedisScript?
    private(set) var argumentCount: Int
    private(set) var arguments: ByteBuffer

    /// A plain command: `RedisCommand("GET")`.
    package init(_ name: String) {
        script = nil
        argumentCount = 0
        arguments = ByteBufferAllocator().buffer(capacity: 64)
        append(name)
    }

    /// A call of a script; `keyCount` keys are appended first, then its arguments.
    package init(_ script: RedisScript, keyCount: Int) {
        self.script = script
        // EVALSHA and the digest.
        argumentCount = 2
        arguments = ByteBufferAllocator().buffer(capacity: 256)
        append(Int64(keyCount))
    }

    package mutating func append(_ argument: String) {
        append(bytes: argument.utf8)
    }

    package mutating func append(bytes: some Collection<UInt8>) {
        argumentCount += 1
        arguments.writeInteger(UInt8(ascii: "$"))
        arguments.writeDecimal(Int64(bytes.count))
        arguments.writeStaticString("\r\n")
        arguments.writeBytes(bytes)
        arguments.writeStaticString("\r\n")
    }

    package mutating func append(_ argument: Int64) {
        argumentCount += 1
        arguments.writeInteger(UInt8(ascii: "$"))
        arguments.writeDecimal(Int64(ByteBuffer.decimalDigits(argument)))
        arguments.writeStaticString("\r\n")
        arguments.writeDecimal(argument)
        arguments.writeStaticString("\r\n")
    }

    /// Appends the whole command as it goes over the wire.
    func write(digest: [UInt8]?, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "*"))
        buffer.writeDecimal(Int64(argumentCount))
        buffer.writeStaticString("\r\n")
        if let digest {
            buffer.writeStaticString("$7\r\nEVALSHA\r\n$40\r\n")
            buffer.writeBytes(digest)
            buffer.writeStaticString("\r\n")
        }
        buffer.writeImmutableBuffer(arguments)
    }
}

extension ByteBuffer {
    fileprivate static func decimalDigits(_ value: Int64) -> Int {
        var count = value < 0 ? 2 : 1
        var rest = value.magnitude / 10
        while rest > 0 {
            count += 1
            rest /= 10
        }
        return count
    }

    mutating func writeDecimal(_ value: Int64) {
        if value < 0 { writeInteger(UInt8(ascii: "-")) }
        var divisor: UInt64 = 1
        let magnitude = value.magnitude
        while magnitude / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            writeInteger(UInt8(ascii: "0") + UInt8(magnitude / divisor % 10))
            divisor /= 10
        }
    }
}
