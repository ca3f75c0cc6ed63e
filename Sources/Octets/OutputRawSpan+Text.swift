// SPDX-License-Identifier: Apache-2.0

// A line of the access log has some forty pieces, and a ByteBuffer takes 400 instructions for each write, however short.
// So what is written for every request is put together in one stretch of a buffer's storage, by these; who asks for the
// stretch sees to it that it is long enough (too short a one traps).
extension OutputRawSpan {
    @inlinable @inline(__always)
    package mutating func append(_ text: StaticString) {
        let start = text.utf8Start
        for offset in 0..<text.utf8CodeUnitCount { append(start[offset]) }
    }

    @inlinable @inline(__always)
    package mutating func append(_ octets: Span<UInt8>) {
        for position in 0..<octets.count { append(octets[position]) }
    }

    /// A number in decimal: at most 20 octets.
    @inlinable
    package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// A number in decimal: at most 20 octets.
    @inlinable
    package mutating func appendDecimal(_ value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    /// The last digits of a number that isn't negative, with leading zeros.
    @inlinable
    package mutating func appendDigits(_ value: Int, count: Int) {
        var divisor = 1
        for _ in 1..<count { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }
}
