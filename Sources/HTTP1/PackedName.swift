// SPDX-License-Identifier: Apache-2.0

import Octets

/// A field name of at most 32 octets in four words, case folded: comparing names is comparing integers.
///
/// `octet | 0x20` folds letters and leaves every other octet of a known name as it is. Of the octets that a line may hold it
/// makes no other one a letter, a digit or a hyphen, which is all that known names consist of (HTAB becomes `)`): so a match
/// with one of them is exact, and shows that what matched is a token.
struct PackedName: Equatable {
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var fourth: UInt64 = 0
    /// Of the name, however long; nothing is held of one longer than 32.
    let length: Int

    static var capacity: Int { 32 }

    /// Of octets that a line may hold.
    @inline(__always)
    init(_ range: Range<Int>, of span: Span<UInt8>) {
        length = range.count
        guard length <= Self.capacity else { return }
        var position = range.lowerBound
        guard position < range.upperBound else { return }
        first = Self.take(&position, range.upperBound, of: span)
        guard position < range.upperBound else { return }
        second = Self.take(&position, range.upperBound, of: span)
        guard position < range.upperBound else { return }
        third = Self.take(&position, range.upperBound, of: span)
        guard position < range.upperBound else { return }
        fourth = Self.take(&position, range.upperBound, of: span)
    }

    init(_ octets: [UInt8]) {
        self.init(0..<octets.count, of: octets.span)
    }

    /// Up to eight octets, at least one, the first in the lowest byte.
    @inline(__always)
    private static func take(_ position: inout Int, _ end: Int, of span: Span<UInt8>) -> UInt64 {
        let count = min(end - position, 8)
        defer { position += count }
        let isInside = position + 8 <= span.count
        guard isInside else {
            var word: UInt64 = 0
            for offset in 0..<count { word |= UInt64(span[position + offset] | 0x20) &<< UInt64(8 * offset) }
            return word
        }
        // What stands behind the name in the same word is cut off.
        return (span.word(at: position) | 0x2020_2020_2020_2020)
            & (.max &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count))
    }

    /// The name with everything but letters and digits read as `-`; nil if that makes no other name of it.
    ///
    /// CGI makes environment variables of names. Most handlers turn `-` alone into `_`, lighttpd and others whatever is no
    /// letter and no digit: `X.Tollgate~Org` is the same variable there as `X_Tollgate_Org`.
    var withHyphens: PackedName? {
        guard isOdd == true else { return nil }
        var name = self
        name.first = Self.hyphenated(first)
        name.second = Self.hyphenated(second)
        name.third = Self.hyphenated(third)
        name.fourth = Self.hyphenated(fourth)
        return name
    }

    /// Whether it has an octet other than letters, digits and `-`; nil where it is too long to be told from what is packed.
    @inline(__always)
    var isOdd: Bool? {
        guard length <= Self.capacity else { return nil }
        return Self.folds(first) || Self.folds(second) || Self.folds(third) || Self.folds(fourth)
    }

    var hash: Int {
        var mixed = first ^ (second &* 0x9E37_79B9_7F4A_7C15)
        mixed ^= (third &* 0xC2B2_AE3D_27D4_EB4F) ^ (fourth &* 0x1656_67B1_9E37_79F9)
        mixed = (mixed ^ UInt64(truncatingIfNeeded: length)) &* 0xFF51_AFD7_ED55_8CCD
        return Int(truncatingIfNeeded: mixed &>> 40)
    }

    /// Whether one of the eight octets is neither letter, digit, hyphen nor padding. All are below 0x80, so sums don't carry.
    @inline(__always)
    private static func folds(_ word: UInt64) -> Bool {
        let tops: UInt64 = 0x8080_8080_8080_8080
        let behindLetters = word &+ 0x0505_0505_0505_0505
        let beforeDigits = ~((word | tops) &- 0x3030_3030_3030_3030)
        let allowed = zeros(word ^ 0x2D2D_2D2D_2D2D_2D2D) | zeros(word)
        let backquotes = zeros(word ^ 0x6060_6060_6060_6060)
        return (behindLetters | beforeDigits & ~allowed | backquotes) & tops != 0
    }

    /// The top bit of each octet that is zero.
    @inline(__always)
    private static func zeros(_ word: UInt64) -> UInt64 {
        ~((word & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x7F7F_7F7F_7F7F_7F7F | word) & 0x8080_8080_8080_8080
    }

    private static func hyphenated(_ word: UInt64) -> UInt64 {
        var word = word
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            let octet = UInt8(truncatingIfNeeded: word &>> shift)
            guard octet != 0, !octet.isAlphanumeric else { continue }
            word = word & ~(0xFF &<< shift) | UInt64(UInt8(ascii: "-")) &<< shift
        }
        return word
    }
}

extension KnownField {
    /// The field of that name, `other` if it is none of ours.
    @inline(__always)
    static func named(_ name: PackedName) -> KnownField {
        name.length <= PackedName.capacity ? table.field(named: name) : .other
    }

    /// The field that a name becomes where everything but letters and digits is read as `-`, as CGI and WSGI do; `other` if
    /// none.
    static func foldedName(_ name: PackedName) -> KnownField {
        guard name.length <= PackedName.capacity, let hyphened = name.withHyphens else { return .other }
        return table.field(named: hyphened)
    }

    private static let table = NameTable()

    /// Open addressing in twice to four times as many slots as there are names.
    private struct NameTable {
        private var slots = [(name: PackedName, field: KnownField)](repeating: (PackedName([]), .other), count: 256)

        init() {
            for field in KnownField.allCases where field != .other {
                let name = PackedName([UInt8](field.name.description.utf8))
                precondition(name.length <= PackedName.capacity, "A known field's name is longer than can be packed")
                var slot = name.hash & 255
                while slots[slot].field != .other { slot = (slot + 1) & 255 }
                slots[slot] = (name, field)
            }
        }

        func field(named name: PackedName) -> KnownField {
            var slot = name.hash & 255
            while slots[slot].field != .other {
                if slots[slot].name == name { return slots[slot].field }
                slot = (slot + 1) & 255
            }
            return .other
        }
    }
}
