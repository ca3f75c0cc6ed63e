// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Limits

/// Whom an address counts as.
@Suite struct AddressPrefixTests {
    @Test(arguments: [
        ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"), ("::1", "::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8::ffff", "2001:db8::/64"),
        ("2001:db8:0:1::9", "2001:db8:0:1::/64"), ("2001:0:0:9::9", "2001:0:0:9::/64"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"),
        // RFC 6052 §2.1
        ("64:ff9b::203.0.113.9", "203.0.113.9"), ("64:ff9b::cb00:710a", "203.0.113.10"),
        // Addresses that others can write as they like, or whose place isn't known: 6to4, Teredo, a local NAT64 (RFC 8215),
        // ISATAP, and what only looks like NAT64.
        ("2002:cb00:7109::1", "2002:cb00:7109::/64"), ("2001:0:cb00:7109::1", "2001:0:cb00:7109::/64"),
        ("64:ff9b:1::203.0.113.9", "64:ff9b:1::/64"), ("2001:db8::5efe:cb00:7109", "2001:db8::/64"),
        ("64:ff9b::1:203.0.113.9", "64:ff9b::/64"), ("::203.0.113.9", "::/64"),
    ])
    func theStandardIsIPv4WholeAndIPv6ByItsNetwork(_ text: String, _ subject: String) {
        #expect(IPAddress(text)?.subject(by: AddressPrefix()) == subject)
    }

    @Test(arguments: [
        ("203.0.113.9", 24, 56, "203.0.113.0/24"), ("203.0.113.9", 8, 56, "203.0.0.0/8"),
        ("64:ff9b::203.0.113.9", 24, 56, "203.0.113.0/24"), ("2001:db8:1:2ff::9", 24, 56, "2001:db8:1:200::/56"),
        ("2001:db8:1:2ff::9", 32, 48, "2001:db8:1::/48"), ("2001:db8:1:2ff::9", 32, 128, "2001:db8:1:2ff::9"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 32, 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"),
        ("2001:db8::9", 32, 16, "2001::/16"),
    ])
    func otherLengthsHaveOtherNames(_ text: String, _ ipv4: Int, _ ipv6: Int, _ subject: String) {
        #expect(IPAddress(text)?.subject(by: AddressPrefix(ipv4: ipv4, ipv6: ipv6)) == subject)
    }

    @Test func noTwoLengthsShareAName() throws {
        for text in ["203.0.113.9", "0.0.0.0", "2001:db8:1:2ff::9", "::"] {
            let address = try #require(IPAddress(text))
            let names = AddressPrefix.lengths(of: address.family).map {
                address.subject(by: AddressPrefix(ipv4: $0, ipv6: $0))
            }
            #expect(Set(names).count == names.count)
        }
    }

    /// One address more or less than what counts as one.
    @Test(arguments: [
        ("203.0.113.9", "203.0.113.0/24"), ("203.0.113.0/24", "203.0.113.0/24"), ("203.0.113.0/25", "203.0.113.0/24"),
        ("203.0.112.0/23", nil), ("2001:db8::/56", "2001:db8::/56"), ("2001:db8::/55", nil),
        ("64:ff9b::203.0.113.0/120", "203.0.113.0/24"), ("64:ff9b::203.0.112.0/119", nil), ("64:ff9b::/64", nil),
    ])
    func aBlockCountsWhereItIsOne(_ text: String, _ subject: String?) {
        #expect(AddressBlock(text)?.subject(by: AddressPrefix(ipv4: 24, ipv6: 56)) == subject)
    }
}
