// SPDX-License-Identifier: Apache-2.0

import Octets

/// `host[:port]` as it stands in Host and in request targets.
///
/// Narrower than RFC 3986: a name of letters, digits, `-._~` and `sub-delims` but the comma, or an address in brackets, then
/// optionally a port of at most 5 digits up to 65 535. No user, no percent-encoding, no comma, which would make two hosts of
/// one in X-Forwarded-Host, and no empty host: each of those is read in several ways.
enum Authority {
    static func isValid(_ range: Range<Int>, of span: Span<UInt8>, needsPort: Bool = false) -> Bool {
        guard !range.isEmpty else { return false }
        var position = range.lowerBound
        if span[position] == UInt8(ascii: "[") {
            position += 1
            let start = position
            while position < range.upperBound, isAddress(span[position]) { position += 1 }
            guard position > start, position < range.upperBound, span[position] == UInt8(ascii: "]") else {
                return false
            }
            position += 1
        } else {
            while position < range.upperBound, Octet.isInHost(span[position]) { position += 1 }
            guard position > range.lowerBound else { return false }
        }
        if position == range.upperBound { return !needsPort }
        guard span[position] == UInt8(ascii: ":") else { return false }
        let port = (position + 1)..<range.upperBound
        return port.isEmpty ? !needsPort : isPort(port, of: span)
    }

    /// Of a valid one.
    static func withoutEmptyPort(_ range: Range<Int>, of span: Span<UInt8>) -> Range<Int> {
        guard let last = range.last, span[last] == UInt8(ascii: ":") else { return range }
        return range.lowerBound..<last
    }

    private static func isAddress(_ octet: UInt8) -> Bool {
        octet == UInt8(ascii: ":") || octet == UInt8(ascii: ".") || octet.hexValue != nil
    }

    private static func isPort(_ range: Range<Int>, of span: Span<UInt8>) -> Bool {
        guard 1...5 ~= range.count else { return false }
        var port = 0
        for position in range {
            guard span[position].isDigit else { return false }
            port = port * 10 + Int(span[position] &- 0x30)
        }
        return port <= 65_535
    }
}
