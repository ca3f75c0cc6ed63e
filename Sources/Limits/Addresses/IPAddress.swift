// SPDX-License-Identifier: Apache-2.0

/// An IPv4 or IPv6 address as a number. `::ffff:a.b.c.d` is the IPv4 address that it maps, so that a client doesn't get a
/// second bucket by the family of the socket it was accepted on.
package struct IPAddress: Sendable, Hashable {
    package enum Family: Sendable, Hashable {
        case v4, v6

        /// Length of an address, in bits.
        package var bits: Int { self == .v4 ? 32 : 128 }
    }

    package let family: Family
    /// In the low bits.
    package let value: UInt128

    /// What stands above the low 32 bits of an IPv4-mapped address (RFC 4291 §2.5.5.2).
    private static var mapped: UInt128 { 0xFFFF }

    package init(v4 value: UInt32) {
        family = .v4
        self.value = UInt128(value)
    }

    package init(v6 value: UInt128) {
        let isMapped = value >> 32 == Self.mapped
        family = isMapped ? .v4 : .v6
        self.value = isMapped ? UInt128(UInt32(truncatingIfNeeded: value)) : value
    }

    /// Dotted decimal without leading zeros (which some read as octal), or a text form of RFC 4291 §2.2. Nil for
    /// everything else: names, ports, brackets, blanks and zones (`%eth0`).
    package init?(_ text: Span<UInt8>) {
        if let value = IPAddressText.v4(text, 0..<text.count) {
            self.init(v4: value)
        } else if let value = IPAddressText.v6(text) {
            self.init(v6: value)
        } else {
            return nil
        }
    }

    /// For configuration; on the request path there are octets.
    package init?(_ text: String) {
        self.init(Array(text.utf8).span)
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or the form that RFC 5952 recommends.
    package var description: String {
        IPAddressText(self).string
    }
}
