// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// One command, its arguments encoded as RESP bulk strings as they are appended.
///
/// The head (`*n`, and for a script `EVALSHA` with the digest the server gave) is written when the command is sent, so that
/// the same value can be sent again: after NOSCRIPT, or for a request that asks the same.
package struct RedisCommand: Sendable {
    let script: RedisScript?
    private(set) var argumentCount: Int
    private(set) var arguments: ByteBuffer

    /// Of a script.
    var isCall: Bool { script != nil }

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

    // Named apart from the generic form: that one can't be specialized from another module.
    package mutating func append(bytes: [UInt8]) {
        begin(byteCount: bytes.count)
        arguments.writeBytes(bytes)
        arguments.writeStaticString("\r\n")
    }

    package mutating func append(bytes: ByteBuffer) {
        begin(byteCount: bytes.readableBytes)
        arguments.writeImmutableBuffer(bytes)
        arguments.writeStaticString("\r\n")
    }

    package mutating func append(bytes: some Collection<UInt8>) {
        begin(byteCount: bytes.count)
        arguments.writeBytes(bytes)
        arguments.writeStaticString("\r\n")
    }

    package mutating func append(_ argument: Int64) {
        begin(byteCount: ByteBuffer.decimalLength(argument))
        arguments.writeDecimal(argument)
        arguments.writeStaticString("\r\n")
    }

    /// Numbers as one argument, which a script takes apart by `struct.unpack('<d…', ARGV[n])`. Exact up to 2^53.
    package mutating func append(doubles: [Int]) {
        begin(byteCount: 8 * doubles.count)
        for number in doubles { arguments.writeInteger(Double(number).bitPattern, endianness: .little) }
        arguments.writeStaticString("\r\n")
    }

    private mutating func begin(byteCount: Int) {
        argumentCount += 1
        arguments.writeStretch(atMost: 3 + OutputRawSpan.longestDecimal) { output in
            output.append(UInt8(ascii: "$"))
            output.appendDecimal(byteCount)
            output.append("\r\n")
        }
    }

    /// Appends the whole command as it goes over the wire.
    ///
    /// - Parameter call: of the script, see ``call(of:)``; nil for a plain command.
    func write(calling call: ByteBuffer?, into buffer: inout ByteBuffer) {
        assert((call == nil) == (script == nil))
        // A star, a number and CRLF in front.
        let size = 3 + OutputRawSpan.longestDecimal + (call?.readableBytes ?? 0) + arguments.readableBytes
        buffer.writeStretch(atMost: size) { output in
            output.append(UInt8(ascii: "*"))
            output.appendDecimal(argumentCount)
            output.append("\r\n")
            if let call { output.append(call.readableBytesUInt8Span) }
            output.append(arguments.readableBytesUInt8Span)
        }
    }

    /// `EVALSHA` and a script's digest as the two arguments they are on the wire.
    static func call(of digest: [UInt8]) -> ByteBuffer {
        var call = RedisCommand("EVALSHA")
        call.append(bytes: digest)
        return call.arguments
    }

    /// `EVAL` and a script's text, likewise: for a server that doesn't keep what it has loaded.
    static func call(withTextOf script: RedisScript) -> ByteBuffer {
        var call = RedisCommand("EVAL")
        call.append(script.source)
        return call.arguments
    }
}

extension ByteBuffer {
    fileprivate static func decimalLength(_ value: Int64) -> Int {
        var length = value < 0 ? 2 : 1
        var rest = value.magnitude / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        return length
    }
}
