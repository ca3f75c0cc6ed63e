// SPDX-License-Identifier: Apache-2.0

import CNettle

/// SHA-256 (FIPS 180-4) of octets, computed by Nettle. Nothing is allocated, and nothing can fail.
package struct SHA256Digest: Sendable, Equatable {
    /// The 32 octets, the first one in the most significant place.
    package let words: (UInt64, UInt64, UInt64, UInt64)

    package init(of octets: [UInt8]) {
        unsafe self.init { digest in
            unsafe octets.withUnsafeBufferPointer { octets in
                unsafe tollgate_sha256(octets.count, octets.baseAddress, digest)
            }
        }
    }

    /// - Parameter write: puts 32 octets there.
    init(_ write: (UnsafeMutablePointer<UInt8>?) -> Void) {
        var digest: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        unsafe withUnsafeMutableBytes(of: &digest) { digest in
            unsafe write(digest.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        words = (
            UInt64(bigEndian: digest.0), UInt64(bigEndian: digest.1), UInt64(bigEndian: digest.2),
            UInt64(bigEndian: digest.3)
        )
    }

    package static func == (one: Self, other: Self) -> Bool {
        one.words == other.words
    }

    /// 64 lowercase hexadecimal digits.
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
