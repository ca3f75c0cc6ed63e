// SPDX-License-Identifier: Apache-2.0

/// Whose buckets an operator asks about.
package enum QuotaSubject: Sendable, Hashable {
    case organization(OrganizationID)
    case key(KeyID)
    /// As admission names it: `203.0.113.9`, an IPv6 /64, or `unix`.
    case address(String)
    case global

    /// `acme`, `acme/7h3kq2mzxb`, `203.0.113.9`, `2001:db8::1`, `2001:db8::/64`, or `unix:` for peers of a Unix socket.
    /// None of them can be taken for another.
    package init?(_ text: String) {
        if text == "unix:" {
            self = .address("unix")
        } else if let block = AddressBlock(text), block.isOneSubject {
            self = .address(block.base.subject)
        } else if let id = KeyID(text) {
            self = .key(id)
        } else if let organization = OrganizationID(text) {
            self = .organization(organization)
        } else {
            return nil
        }
    }
}

extension AddressBlock {
    /// A single address, or the /64 that IPv6 addresses are counted by.
    fileprivate var isOneSubject: Bool {
        prefixLength == base.family.bits || base.family == .v6 && prefixLength == 64
    }
}
