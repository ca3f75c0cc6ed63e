// SPDX-License-Identifier: Apache-2.0

package import Limits

/// Whose buckets an operator asks about.
package enum QuotaSubject: Sendable, Hashable {
    case organization(OrganizationID)
    case key(KeyID)
    /// One address, or a block that policies count as one.
    case address(AddressBlock)
    /// Whoever comes by a Unix socket, and nobody says from where.
    case unixPeers
    case global

    /// `acme`, `acme/7h3kq2mzxb`, `203.0.113.9`, `2001:db8::1`, `2001:db8::/64`, or `unix:` for peers of a Unix socket.
    /// None of them can be taken for another.
    package init?(_ text: String) {
        if text == "unix:" {
            self = .unixPeers
        } else if let block = AddressBlock(text) {
            self = .address(block)
        } else if let id = KeyID(text) {
            self = .key(id)
        } else if let organization = OrganizationID(text) {
            self = .organization(organization)
        } else {
            return nil
        }
    }
}

extension QuotaSubject {
    /// Whether the policy's bucket is the subject's own: one of its kind and, where it is a block, not several.
    package func isCounted(by policy: Policy) -> Bool {
        switch self {
        case .organization: policy.subject == .org
        case .key: policy.subject == .key
        case .address(let block): policy.subject == .address && block.subject(by: policy.addressPrefix) != nil
        case .unixPeers: policy.subject == .address
        case .global: policy.subject == .global
        }
    }

    /// As admission names it among addresses; nil for all else, and a block that is several to the policy.
    package func address(by policy: Policy) -> String? {
        switch self {
        case .address(let block): block.subject(by: policy.addressPrefix)
        case .unixPeers: "unix"
        case .organization, .key, .global: nil
        }
    }
}
