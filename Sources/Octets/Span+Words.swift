// SPDX-License-Identifier: Apache-2.0

// Eight octets at a time.
extension Span<UInt8> {
    /// The eight octets from there on, the first in the lowest byte. One load: the checks on `part` fall away.
    @inlinable @inline(__always)
    package func word(at position: Int) -> UInt64 {
        let part = extracting(position..<(position + 8))
        var word = UInt64(part[0])
        word |= UInt64(part[1]) &<< 8
        word |= UInt64(part[2]) &<< 16
        word |= UInt64(part[3]) &<< 24
        word |= UInt64(part[4]) &<< 32
        word |= UInt64(part[5]) &<< 40
        word |= UInt64(part[6]) &<< 48
        word |= UInt64(part[7]) &<< 56
        return word
    }

    /// Whether each octet is a visible one of ASCII.
    package var isVisible: Bool {
        var position = 0
        while position + 8 <= count {
            let word = word(at: position)
            // Sets the top bit of each octet below 0x21 or from 0x7F on; above the first such, others may be set in error.
            let odd = word | (word &- 0x2121_2121_2121_2121) | Self.zeros(word ^ 0x7F7F_7F7F_7F7F_7F7F)
            guard odd & 0x8080_8080_8080_8080 == 0 else { return false }
            position += 8
        }
        while position < count {
            guard self[position].isVisible else { return false }
            position += 1
        }
        return true
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

    /// The top bit of each octet that is zero; above the first such, others may be set in error.
    @inline(__always)
    private static func zeros(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word
    }
}
