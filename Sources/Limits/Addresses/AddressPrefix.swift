// SPDX-License-Identifier: Apache-2.0

/// How many leading bits of an address tell callers apart: those whose bits agree count as one.
package struct AddressPrefix: Sendable, Hashable {
    package var ipv4: Int
    package var ipv6: Int

    /// IPv4 whole, IPv6 by its /64, since a single line is given that many.
    package init(ipv4: Int = 32, ipv6: Int = 64) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    /// What may be configured. Less is nobody's network, but most likely a slip.
    package static func lengths(of family: IPAddress.Family) -> ClosedRange<Int> {
        family == .v4 ? 8...32 : 16...128
    }

    package func length(of family: IPAddress.Family) -> Int { family == .v4 ? ipv4 : ipv6 }
}

extension IPAddress {
    /// What stands above the IPv4 address in `64:ff9b::/96` (RFC 6052 §2.1).
    private static let translated: UInt128 = 0x0064_FF9B << 64

    /// The address it counts as. One that a NAT64 wrote as `64:ff9b::a.b.c.d` is that IPv4 address, which all of them
    /// would share a /64 with otherwise.
    ///
    /// That prefix is our own network's on every network, so its translator alone can write it. 6to4 and Teredo hold IPv4
    /// addresses too, but are written by relays that anybody can run, and what ISATAP holds a host writes itself: their
    /// callers could choose whom to count as. Where a local prefix (RFC 8215) holds it isn't known.
    package var counted: IPAddress {
        family == .v6 && value >> 32 == Self.translated ? IPAddress(v4: UInt32(truncatingIfNeeded: value)) : self
    }

    /// The lowest of all addresses that have these leading bits.
    package func network(_ length: Int) -> IPAddress {
        let shift = UInt128(family.bits - length)
        let lowest = (value >> shift) << shift
        return family == .v4 ? IPAddress(v4: UInt32(lowest)) : IPAddress(v6: lowest)
    }

    /// Who the address counts as: `203.0.113.9`, `203.0.113.0/24`, `2001:db8::/64`. No two lengths have a name in common.
    package func subject(by prefix: AddressPrefix) -> String {
        let counted = counted
        let length = prefix.length(of: counted.family)
        guard length < counted.family.bits else { return counted.description }
        var text = IPAddressText(counted.network(length))
        text.append(length: length)
        return text.string
    }
}

extension AddressBlock {
    /// Who all of its addresses count as; nil where they are several.
    package func subject(by prefix: AddressPrefix) -> String? {
        let counted = base.counted
        let translated = counted.family == base.family ? 0 : 96
        return prefixLength - translated < prefix.length(of: counted.family) ? nil : base.subject(by: prefix)
    }
}
