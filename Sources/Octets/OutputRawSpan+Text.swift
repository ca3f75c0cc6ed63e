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
    package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// A number in decimal.
    package mutating func appendDecimal(_ value: Int) {
        appendDecimal(Int64(value))
    }

    /// A number in decimal.
    package mutating func appendDecimal(_ value: UInt64) {
        guard value >= 10 else { return append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)) }
        // From the last digit on, by a constant: a division by a variable takes as long as five of these.
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var start = 20
        var rest = value
        while rest > 0 {
            start -= 1
            let quotient = rest / 10
            digits[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest &- quotient &* 10)
            rest = quotient
        }
        append(digits.span.extracting(start..<20))
    }

    /// The last digits of a number that isn't negative, with leading zeros; at most 20.
    package mutating func appendDigits(_ value: Int, count: Int) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var rest = value
        for position in stride(from: 19, through: 20 - count, by: -1) {
            let quotient = rest / 10
            digits[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest &- quotient &* 10)
            rest = quotient
        }
        append(digits.span.extracting((20 - count)..<20))
    }
}
