// SPDX-License-Identifier: Apache-2.0

import Crypto

/// SHA-256 of a whole key: all that is kept of it, here and in Redis.
package struct CredentialHash: Sendable, Equatable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package init(of key: [UInt8]) {
        var octets = SHA256.hash(data: key).makeIterator()
        func word() -> UInt64 {
            var word: UInt64 = 0
            for _ in 0..<8 { word = word << 8 | UInt64(octets.next() ?? 0) }
            return word
        }
        words = (word(), word(), word(), word())
    }

    /// The first 64 bits: they spread as well as all 256.
    var leadingBits: UInt64 { words.0 }

    package static func == (one: Self, other: Self) -> Bool {
        one.words == other.words
    }

    /// 64 lowercase hexadecimal digits, as in the names and records of Redis.
    package var hexadecimal: [UInt8] {
        var digits: [UInt8] = []
        digits.reserveCapacity(64)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 60, through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 0xF
                digits.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
        return digits
    }
}

extension CredentialHash: Hashable {
    package func hash(into hasher: inout Hasher) {
        // 64 bits of a cryptographic hash spread as well as all 256.
        hasher.combine(words.0)
    }
}
