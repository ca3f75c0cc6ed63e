// SPDX-License-Identifier: Apache-2.0

/// The sum of Castagnoli's polynomial (RFC 9260, appendix A). Bit by bit: it is asked for once a connection, of a few octets.
struct CRC32C {
    /// The polynomial, lowest power in the highest bit.
    private static let polynomial: UInt32 = 0x82F6_3B78

    private var remainder = UInt32.max

    var value: UInt32 { ~remainder }

    mutating func add(_ octet: UInt8) {
        remainder ^= UInt32(octet)
        for _ in 0..<8 { remainder = remainder >> 1 ^ (remainder & 1 == 0 ? 0 : Self.polynomial) }
    }
}
