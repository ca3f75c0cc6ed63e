// SPDX-License-Identifier: Apache-2.0

import Octets

/// `HTTP/d.d` as it stands in a start line (RFC 9112 §2.3): case sensitive, one digit each.
struct HTTPVersionNumber {
    let major: UInt8
    let minor: UInt8

    static var length: Int { 8 }

    /// Nil if the range is anything else.
    init?(_ range: Range<Int>, of span: Span<UInt8>) {
        let start = range.lowerBound
        guard range.count == Self.length,
            span[start] == UInt8(ascii: "H"),
            span[start + 1] == UInt8(ascii: "T"),
            span[start + 2] == UInt8(ascii: "T"),
            span[start + 3] == UInt8(ascii: "P"),
            span[start + 4] == UInt8(ascii: "/"),
            span[start + 5].isDigit,
            span[start + 6] == UInt8(ascii: "."),
            span[start + 7].isDigit
        else { return nil }
        major = span[start + 5] &- 0x30
        minor = span[start + 7] &- 0x30
    }
}
