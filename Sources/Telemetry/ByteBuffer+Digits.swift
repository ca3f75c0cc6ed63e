// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension ByteBuffer {
    /// Writes a number in decimal, without making a String of it.
    package mutating func writeDecimal(_ value: Int64) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var start = 20
        var rest = value.magnitude
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        if value < 0 {
            start -= 1
            digits[start] = UInt8(ascii: "-")
        }
        writeBytes(digits.span.extracting(start..<20).bytes)
    }

    /// Writes a number in decimal, without making a String of it.
    package mutating func writeDecimal(_ value: Int) {
        writeDecimal(Int64(value))
    }

    /// Writes the last digits of a number that isn't negative, with leading zeros.
    mutating func writeDigits(_ value: Int, count: Int) {
        var digits = InlineArray<8, UInt8>(repeating: 0)
        var rest = value
        for position in (0..<count).reversed() {
            digits[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        writeBytes(digits.span.extracting(0..<count).bytes)
    }
}
