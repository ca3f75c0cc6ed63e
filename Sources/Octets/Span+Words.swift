// SPDX-License-Identifier: Apache-2.0

// Eight octets at a time.
extension Span<UInt8> {
    /// The eight octets from there on, the first in the lowest byte. One load, checked once: put together octet by octet,
    /// each would be checked.
    @inlinable @inline(__always)
    package func word(at position: Int) -> UInt64 {
        // Unsafe are types in which not every octet has a meaning.
        UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    /// Where the first of these octets is, from `position` on; `end` if there is none before it.
    @inlinable @inline(__always)
    package func first(_ octet: UInt8, from position: Int, upTo end: Int) -> Int {
        let wanted = Self.repeated(octet)
        return first(from: position, upTo: end) { Self.zeros($0 ^ wanted) }
    }

    /// Where the first octet is that is one of the three, from `position` on; `end` if there is none before it.
    @inlinable @inline(__always)
    package func first(_ one: UInt8, _ another: UInt8, _ third: UInt8, from position: Int, upTo end: Int) -> Int {
        let (one, another, third) = (Self.repeated(one), Self.repeated(another), Self.repeated(third))
        return first(from: position, upTo: end) {
            Self.zeros($0 ^ one) | Self.zeros($0 ^ another) | Self.zeros($0 ^ third)
        }
    }

    /// Where the first octet is that isn't a visible one of ASCII, or is this one; `end` if there is none before it.
    @inlinable @inline(__always)
    package func firstInvisible(or octet: UInt8, from position: Int, upTo end: Int) -> Int {
        let wanted = Self.repeated(octet)
        return first(from: position, upTo: end) { Self.invisible($0) | Self.zeros($0 ^ wanted) }
    }

    /// - Parameter mark: sets the top bit of each octet of a word that is looked for, as the functions below do.
    @inlinable @inline(__always)
    func first(from position: Int, upTo end: Int, _ mark: (UInt64) -> UInt64) -> Int {
        precondition(end <= count, "Nothing is looked for beyond the last octet")
        var position = position
        while position + 8 <= count, position < end {
            let found = mark(word(at: position)) & 0x8080_8080_8080_8080
            guard found == 0 else { return Swift.min(position + found.trailingZeroBitCount &>> 3, end) }
            position += 8
        }
        guard position < end else { return end }
        guard count >= 8 else {
            while position < end, mark(UInt64(self[position])) & 0x80 == 0 { position += 1 }
            return position
        }
        // The last eight octets, without those before. What is shifted in may be marked as well, and is behind the end.
        let skipped = UInt64(truncatingIfNeeded: 8 &- (count &- position))
        let found = mark(word(at: count - 8) &>> (8 &* skipped)) & 0x8080_8080_8080_8080
        return Swift.min(position + found.trailingZeroBitCount &>> 3, end)
    }

    /// Whether each octet is a visible one of ASCII.
    package var isVisible: Bool {
        first(from: 0, upTo: count, Self.invisible) == count
    }

    /// Where the first octet is, from `position` on, that doesn't stand for itself in a JSON string; `end` if there is none
    /// before it.
    @inline(__always)
    func endOfPlainJSON(from position: Int, upTo end: Int) -> Int {
        var position = position
        guard position + 8 <= end else {
            while position < end, JSONText.isPlain(self[position]) { position += 1 }
            return position
        }
        while position < end {
            // The last eight octets, some of which were looked at before.
            position = min(position, end - 8)
            let found = Self.oddJSON(word(at: position))
            guard found == 0 else { return position + found.trailingZeroBitCount &>> 3 }
            position += 8
        }
        return end
    }

    /// The top bit of each octet below 0x20, from 0x7F on, `"` or `\`; above the first such, others may be set in error.
    @inline(__always)
    private static func oddJSON(_ word: UInt64) -> UInt64 {
        let odd =
            word | (word &- 0x2020_2020_2020_2020) | zeros(word ^ 0x7F7F_7F7F_7F7F_7F7F)
            | zeros(word ^ 0x2222_2222_2222_2222) | zeros(word ^ 0x5C5C_5C5C_5C5C_5C5C)
        return odd & 0x8080_8080_8080_8080
    }

    /// The top bit of each octet below 0x21 or from 0x7F on; above the first such, others may be set in error, as are bits
    /// that aren't the top one.
    @inlinable @inline(__always)
    static func invisible(_ word: UInt64) -> UInt64 {
        word | (word &- 0x2121_2121_2121_2121) | zeros(word ^ 0x7F7F_7F7F_7F7F_7F7F)
    }

    /// A word of that octet alone.
    @inlinable @inline(__always)
    package static func repeated(_ octet: UInt8) -> UInt64 { UInt64(octet) &* 0x0101_0101_0101_0101 }

    /// The top bit of each octet that is zero; above the first such, others may be set in error, as are bits that aren't the
    /// top one.
    @inlinable @inline(__always)
    package static func zeros(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word
    }
}
