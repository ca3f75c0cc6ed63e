// SPDX-License-Identifier: Apache-2.0

/// The classes of octets that RFC 9110 §5.5–5.6 and RFC 3986 distinguish.
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

    /// Letters, digits and `-._~`: the part of RFC 3986's `reg-name` that real host names use.
    @inline(__always)
    static func isUnreserved(_ octet: UInt8) -> Bool {
        contains(octet, low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
    }

    /// Visible ASCII, 0x21–0x7E.
    @inline(__always)
    static func isVisible(_ octet: UInt8) -> Bool {
        octet &- 0x21 < 0x5E
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
    static func isDigit(_ octet: UInt8) -> Bool {
        octet &- 0x30 < 10
    }

    /// The value of a hexadecimal digit of either case.
    @inline(__always)
    static func hexValue(_ octet: UInt8) -> UInt8? {
        if isDigit(octet) { return octet &- 0x30 }
        let letter = (octet | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    @inline(__always)
    static func lowercased(_ octet: UInt8) -> UInt8 {
        octet &- 0x41 < 26 ? octet | 0x20 : octet
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

    func equalIgnoringCase(_ one: Range<Int>, _ other: Range<Int>) -> Bool {
        guard one.count == other.count else { return false }
        for offset in 0..<one.count
        where Octet.lowercased(self[one.lowerBound + offset]) != Octet.lowercased(self[other.lowerBound + offset]) {
            return false
        }
        return true
    }

    /// Whether the range holds that text; with `ignoringCase`, the text is given in lower case. Not for hot paths.
    func holds(_ text: StaticString, at range: Range<Int>, ignoringCase: Bool = false) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for (position, expected) in zip(range, text.description.utf8) {
            let octet = ignoringCase ? Octet.lowercased(self[position]) : self[position]
            guard octet == expected else { return false }
        }
        return true
    }
}
