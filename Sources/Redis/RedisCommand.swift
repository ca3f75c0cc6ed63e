// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// One command, its arguments encoded as RESP bulk strings as they are appended.
///
/// The head (`*n`, and for a script `EVALSHA` with the digest the server gave) is written when the command is sent, so that
/// the same value can be sent again: after NOSCRIPT, or for a request that asks the same.
package struct RedisCommand: Sendable {
    let script: RedisScript?
    /// An array: its storage is one piece and, once trimmed, no longer than what is in it.
    private(set) var arguments: [UInt8] = []
    /// In 32 bits, as thousands of questions are kept.
    private(set) var argumentCount: Int32

    /// Of a script.
    var isCall: Bool { script != nil }

    /// A plain command: `RedisCommand("GET")`.
    package init(_ name: String) {
        script = nil
        argumentCount = 0
        arguments.reserveCapacity(64)
        append(name)
    }

    /// A call of a script; `keyCount` keys are appended first, then its arguments.
    package init(_ script: RedisScript, keyCount: Int) {
        self.script = script
        // EVALSHA and the digest.
        argumentCount = 2
        arguments.reserveCapacity(256)
        append(Int64(keyCount))
    }

    package mutating func append(_ argument: String) {
        append(bytes: argument.utf8)
    }

    // Named apart from the generic form: that one can't be specialized from another module.
    package mutating func append(bytes: [UInt8]) {
        begin(byteCount: bytes.count)
        arguments += bytes
        end()
    }

    package mutating func append(bytes: ByteBuffer) {
        begin(byteCount: bytes.readableBytes)
        arguments += bytes.readableBytesView
        end()
    }

    package mutating func append(bytes: some Collection<UInt8>) {
        begin(byteCount: bytes.count)
        arguments += bytes
        end()
    }

    package mutating func append(_ argument: Int64) {
        begin(byteCount: argument.decimalLength)
        arguments.append(decimal: argument)
        end()
    }

    /// Numbers as one argument, which a script takes apart by `struct.unpack('<d…', ARGV[n])`. Exact up to 2^53.
    package mutating func append(doubles: [Int]) {
        begin(byteCount: 8 * doubles.count)
        arguments.append(addingCapacity: 8 * doubles.count) { output in
            for number in doubles {
                let bits = Double(number).bitPattern
                for shift in stride(from: 0, to: 64, by: 8) { output.append(UInt8(truncatingIfNeeded: bits >> shift)) }
            }
        }
        end()
    }

    private mutating func begin(byteCount: Int) {
        argumentCount += 1
        arguments.append(UInt8(ascii: "$"))
        arguments.append(decimal: Int64(byteCount))
        end()
    }

    private mutating func end() {
        arguments.append(UInt8(ascii: "\r"))
        arguments.append(UInt8(ascii: "\n"))
    }

    /// The same without the room that is left for further arguments: to be kept.
    package func trimmed() -> RedisCommand {
        var copy = self
        copy.arguments = []
        copy.arguments.reserveCapacity(arguments.count)
        copy.arguments += arguments
        return copy
    }

    /// Appends the whole command as it goes over the wire.
    ///
    /// - Parameter call: of the script, see ``call(of:)``; nil for a plain command.
    func write(calling call: [UInt8]?, into buffer: inout ByteBuffer) {
        assert((call == nil) == (script == nil))
        // A star, a number and CRLF in front.
        let size = 3 + OutputRawSpan.longestDecimal + (call?.count ?? 0) + arguments.count
        buffer.writeStretch(atMost: size) { output in
            output.append(UInt8(ascii: "*"))
            output.appendDecimal(Int64(argumentCount))
            output.append("\r\n")
            if let call { output.append(call) }
            output.append(arguments)
        }
    }

    /// `EVALSHA` and a script's digest as the two arguments they are on the wire.
    static func call(of digest: [UInt8]) -> [UInt8] {
        var call = RedisCommand("EVALSHA")
        call.append(bytes: digest)
        return call.arguments
    }

    /// `EVAL` and a script's text, likewise: for a server that doesn't keep what it has loaded.
    static func call(withTextOf script: RedisScript) -> [UInt8] {
        var call = RedisCommand("EVAL")
        call.append(script.source)
        return call.arguments
    }
}

extension Int64 {
    fileprivate var decimalLength: Int {
        var length = self < 0 ? 2 : 1
        var rest = magnitude / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        return length
    }
}

extension [UInt8] {
    fileprivate mutating func append(decimal value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        append(decimal: value.magnitude)
    }

    private mutating func append(decimal value: UInt64) {
        if value >= 10 { append(decimal: value / 10) }
        append(UInt8(ascii: "0") + UInt8(value % 10))
    }
}
