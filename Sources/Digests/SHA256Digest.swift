// SPDX-License-Identifier: Apache-2.0

import CNettle

/// SHA-256 (FIPS 180-4) of octets, or HMAC-SHA-256 (RFC 2104) of octets under a key, computed by Nettle. Nothing is allocated,
/// and nothing can fail.
package struct SHA256Digest: Sendable, Equatable {
    /// The 32 octets, the first one in the most significant place.
    package let words: (UInt64, UInt64, UInt64, UInt64)

    package init(of octets: [UInt8]) {
        var digest = Self.room
        unsafe withUnsafeMutableBytes(of: &digest) { digest in
            unsafe octets.withUnsafeBufferPointer { octets in
                unsafe tollgate_sha256(
                    octets.count, octets.baseAddress, digest.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
        }
        self.init(digest)
    }

    /// HMAC.
    package init(of octets: [UInt8], under key: [UInt8]) {
        var digest = Self.room
        unsafe withUnsafeMutableBytes(of: &digest) { digest in
            unsafe octets.withUnsafeBufferPointer { octets in
                unsafe key.withUnsafeBufferPointer { key in
                    unsafe tollgate_hmac_sha256(
                        key.count, key.baseAddress, octets.count, octets.baseAddress,
                        digest.baseAddress?.assumingMemoryBound(to: UInt8.self))
                }
            }
        }
        self.init(digest)
    }

    private static let room: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// - Parameter digest: as it lies in memory.
    private init(_ digest: (UInt64, UInt64, UInt64, UInt64)) {
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
