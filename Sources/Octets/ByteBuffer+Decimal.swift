// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension ByteBuffer {
    /// Writes a number in decimal, without making a String of it.
    package mutating func writeDecimal(_ value: Int64) {
        writeStretch(atMost: OutputRawSpan.longestDecimal) { $0.appendDecimal(value) }
    }

    /// Writes a number in decimal, without making a String of it.
    package mutating func writeDecimal(_ value: UInt64) {
        writeStretch(atMost: OutputRawSpan.longestDecimal) { $0.appendDecimal(value) }
    }

    /// Writes a number in decimal, without making a String of it.
    package mutating func writeDecimal(_ value: Int) {
        writeDecimal(Int64(value))
    }
}
