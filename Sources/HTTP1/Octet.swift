// SPDX-License-Identifier: Apache-2.0

import Octets

/// The classes of octets that RFC 9110 §5.5–5.6 distinguishes; `Octets` has those that others know too.
///
/// Each class is two 64-bit constants, one bit an octet below 128: a table in a `static let` costs a `swift_once` per octet.
enum Octet {
    static var tab: UInt8 { 0x09 }
    static var lineFeed: UInt8 { 0x0A }
    static var carriageReturn: UInt8 { 0x0D }
    static var space: UInt8 { 0x20 }

    /// `tchar`: what methods, field names and options consist of.
    @inline(__always)
    static func isToken(_ octet: UInt8) -> Bool {
        contains(octet, low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    }

    /// RFC 3986's `reg-name` without percent-encoding and comma.
    @inline(__always)
    static func isInHost(_ octet: UInt8) -> Bool {
        contains(octet, low: 0x2BFF_6FD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
    }

    /// What a field value may not hold: controls other than HTAB, and DEL. Octets from 0x80 are `obs-text` and pass.
    @inline(__always)
    static func isControl(_ octet: UInt8) -> Bool {
        (octet < 0x20 && octet != 0x09) || octet == 0x7F
    }

    @inline(__always)
    static func isBlank(_ octet: UInt8) -> Bool {
        octet == 0x20 || octet == 0x09
    }

    @inline(__always)
    private static func contains(_ octet: UInt8, low: UInt64, high: UInt64) -> Bool {
        let word = octet < 64 ? low : high
        return octet < 128 && (word &>> UInt64(octet & 63)) & 1 != 0
    }
}

extension Span<UInt8> {
    /// The range without the spaces and tabs around it (OWS, RFC 9110 §5.6.3).
    @inline(__always)
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, Octet.isBlank(self[lower]) { lower += 1 }
        while upper > lower, Octet.isBlank(self[upper - 1]) { upper -= 1 }
        return lower..<upper
    }

    /// Where the spaces and tabs at the front of the range end.
    @inline(__always)
    func endOfBlanks(in range: Range<Int>) -> Int {
        var end = range.lowerBound
        while end < range.upperBound, Octet.isBlank(self[end]) { end += 1 }
        return end
    }

    /// Where the token at the front of the range ends.
    @inline(__always)
    func endOfToken(in range: Range<Int>) -> Int {
        let part = extracting(range)
        var end = 0
        while end < part.count, Octet.isToken(part[end]) { end += 1 }
        return range.lowerBound + end
    }

    func equalIgnoringCase(_ one: Range<Int>, _ other: Range<Int>) -> Bool {
        guard one.count == other.count else { return false }
        for offset in 0..<one.count
        where self[one.lowerBound + offset].lowercased != self[other.lowerBound + offset].lowercased {
            return false
        }
        return true
    }

    /// Whether the range holds that text; with `ignoringCase`, the text is given in lower case. Not for hot paths.
    func holds(_ text: StaticString, at range: Range<Int>, ignoringCase: Bool = false) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for (position, expected) in zip(range, text.description.utf8) {
            let octet = ignoringCase ? self[position].lowercased : self[position]
            guard octet == expected else { return false }
        }
        return true
    }
}

// MARK: - Eight octets at a time

extension Span<UInt8> {
    /// Where the first control octet other than HTAB is, from `position` on; `end` if there is none before it.
    @inline(__always)
    func firstControl(from position: Int, upTo end: Int) -> Int {
        var position = position
        while position + 8 <= end {
            let word = word(at: position)
            // Sets the top bit of each byte below 0x20 or equal to 0x7F; bytes above the first such may be set in error.
            let isLow = (word &- 0x2020_2020_2020_2020) & ~word
            let isDelete = ((word ^ 0x7F7F_7F7F_7F7F_7F7F) &- 0x0101_0101_0101_0101) & ~word
            let found = (isLow | isDelete) & 0x8080_8080_8080_8080
            if found == 0 {
                position += 8
            } else {
                position += found.trailingZeroBitCount &>> 3
                guard self[position] == Octet.tab else { return position }
                position += 1
            }
        }
        while position < end, !Octet.isControl(self[position]) { position += 1 }
        return position
    }
}
