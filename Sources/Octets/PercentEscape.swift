// SPDX-License-Identifier: Apache-2.0

// Escapes of URIs: a percent sign and two hexadecimal digits (RFC 3986 §2.1).

extension Span<UInt8> {
    /// The octet that the escape at the position means; nil if it is none.
    package func percentEscape(at position: Int) -> UInt8? {
        guard self[position] == UInt8(ascii: "%"), position + 2 < count else { return nil }
        return UInt8(hexDigits: self[position + 1], self[position + 2])
    }
}

extension [UInt8] {
    /// `%2A`, in upper case (RFC 3986 §6.2.2.1).
    package mutating func appendPercentEscape(of octet: UInt8) {
        append(UInt8(ascii: "%"))
        for digit in [octet >> 4, octet & 0xF] {
            append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10)
        }
    }
}
