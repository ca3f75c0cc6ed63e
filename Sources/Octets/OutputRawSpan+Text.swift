// SPDX-License-Identifier: Apache-2.0

package import NIOCore

// A head has some thirty pieces and a line of the access log forty, and a ByteBuffer takes 150 to 400 instructions for each
// write, however short. So what is written for every request is put together in one stretch of a buffer's storage, by
// these; who asks for the stretch sees to it that it is long enough (too short a one traps).
extension OutputRawSpan {
    @inlinable @inline(__always)
    package mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inlinable @inline(__always)
    package mutating func append(_ octets: Span<UInt8>) {
        octets.withUnsafeBytes { append($0) }
    }

    @inlinable @inline(__always)
    package mutating func append(_ octets: [UInt8]) {
        append(octets.span)
    }

    /// Has a label so that a literal is never a String.
    package mutating func append(text: String) {
        text.withOctets { append($0) }
    }

    package mutating func append(_ octets: ByteBufferView) {
        octets.withUnsafeBytes { append($0) }
    }

    /// In one go. Octet by octet each would be checked.
    @inlinable @inline(__always)
    package mutating func append(_ octets: UnsafeRawBufferPointer) {
        guard let source = octets.baseAddress else { return }
        precondition(octets.count <= freeCapacity, "A stretch of storage is too short for what is written into it")
        withUnsafeMutableBytes { storage, used in
            storage.baseAddress?.advanced(by: used).copyMemory(from: source, byteCount: octets.count)
            used += octets.count
        }
    }
}

// MARK: - Numbers

extension OutputRawSpan {
    /// What the longest number takes, with its sign.
    package static var longestDecimal: Int { 20 }

    /// A number in decimal.
    @inlinable @inline(__always)
    package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// A number in decimal.
    @inlinable @inline(__always)
    package mutating func appendDecimal(_ value: Int) {
        appendDecimal(Int64(value))
    }

    /// A number in decimal.
    @usableFromInline
    package mutating func appendDecimal(_ value: UInt64) {
        guard value >= 10 else { return append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)) }
        let high = value / EightDigits.bound
        guard high == 0 else {
            appendDecimal(high)
            return appendDigits(value &- high &* EightDigits.bound, count: 8)
        }
        let digits = EightDigits(value)
        append(digits.text, from: digits.leadingZeros)
    }

    /// The last digits of a number that isn't negative, with leading zeros; at most 20.
    package mutating func appendDigits(_ value: Int, count: Int) {
        appendDigits(UInt64(value), count: count)
    }

    private mutating func appendDigits(_ value: UInt64, count: Int) {
        let high = value / EightDigits.bound
        if count > 8 { appendDigits(high, count: count - 8) }
        append(EightDigits(value &- high &* EightDigits.bound).text, from: max(0, 8 - count))
    }

    /// The octets of a word from that one on, counted from the lowest.
    @inline(__always)
    private mutating func append(_ word: UInt64, from start: Int) {
        var rest = word &>> UInt64(8 * start)
        guard freeCapacity >= 8 else {
            for _ in start..<8 {
                append(UInt8(truncatingIfNeeded: rest))
                rest &>>= 8
            }
            return
        }
        // All eight at once, and what isn't of them is taken back.
        append(rest, as: UInt64.self)
        removeLast(start)
    }
}

/// The digits of a number below a hundred million, all at once: each half of what was halved before goes into a lane of
/// its own, and the digit of most weight ends up lowest, which is where it stands first in memory.
private struct EightDigits {
    /// From here on numbers have more.
    static var bound: UInt64 { 100_000_000 }

    private let lanes: UInt64

    init(_ value: UInt64) {
        // Divisions of all lanes are products with a reciprocal, exact for numbers this small.
        var lanes = value / 10_000
        lanes |= (value &- lanes &* 10_000) &<< 32
        let hundreds = ((lanes &* 10_486) &>> 20) & 0x0000_007F_0000_007F
        lanes = hundreds | (lanes &- hundreds &* 100) &<< 16
        let tens = ((lanes &* 103) &>> 10) & 0x000F_000F_000F_000F
        self.lanes = tens | (lanes &- tens &* 10) &<< 8
    }

    /// As they are written.
    var text: UInt64 { lanes | 0x3030_3030_3030_3030 }

    /// Of a number that isn't zero.
    var leadingZeros: Int { lanes.trailingZeroBitCount &>> 3 }
}
