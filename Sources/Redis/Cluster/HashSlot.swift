// SPDX-License-Identifier: Apache-2.0

/// Which of a cluster's 16 384 parts a key lies in: CRC-16/XMODEM of its hash tag, or of the whole key where it has
/// none (Redis cluster specification, "Key distribution model" and "Hash tags").
///
/// A command, and a script, can touch keys of one hash slot only.
package struct HashSlot: Sendable, Hashable {
    package static let count: UInt16 = 16_384

    package let number: UInt16

    /// Nil where no cluster has such a one.
    package init?(number: Int) {
        guard (0..<Int(Self.count)).contains(number) else { return nil }
        self.number = UInt16(number)
    }

    package init(of key: String) {
        self.init(of: key.utf8.span)
    }

    package init(of key: [UInt8]) {
        self.init(of: key.span)
    }

    init(of key: borrowing Span<UInt8>) {
        let tag = Self.tag(of: key)
        let table = Self.table
        var sum: UInt16 = 0
        for index in tag {
            sum = sum << 8 ^ table[Int(UInt8(truncatingIfNeeded: sum >> 8) ^ key[index])]
        }
        number = sum % Self.count
    }

    /// What stands between the first `{` and the first `}` after it, if anything does.
    private static func tag(of key: borrowing Span<UInt8>) -> Range<Int> {
        var start: Int?
        for index in key.indices {
            if let start {
                guard key[index] == UInt8(ascii: "}") else { continue }
                return index == start ? key.indices : start..<index
            } else if key[index] == UInt8(ascii: "{") {
                start = index + 1
            }
        }
        return key.indices
    }

    /// What each octet comes to.
    private static let table: [UInt16] = (0..<256).map { octet in
        (0..<8).reduce(UInt16(octet) << 8) { rest, _ in rest & 0x8000 == 0 ? rest << 1 : rest << 1 ^ 0x1021 }
    }
}
