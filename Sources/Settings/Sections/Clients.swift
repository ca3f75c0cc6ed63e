// SPDX-License-Identifier: Apache-2.0

package import Limits

extension Settings {
    /// By what clients are told apart.
    package struct Clients: Sendable, Equatable {
        /// CIDR blocks whose peers may set the client address field, as written.
        package var trustedProxies: [String]
        package var addressField: String
        /// What tells clients apart by their address; policies have theirs, which may differ.
        package var addressPrefix: AddressPrefix
    }
}

extension Settings.Clients {
    static let schema = Schema([trustedProxies.row, addressField.row, prefixIPv4.row, prefixIPv6.row])

    static let trustedProxies = Setting(
        "trusted_proxies",
        .list("a list of CIDR blocks such as 10.0.0.0/8, or unix", of: .trustedProxy, isEmptyAllowed: true),
        default: #"[127.0.0.0/8, "::1/128", unix]"#, "Peers that may set the client address field.")
    static let addressField = Setting(
        "client_address", .clientAddressField, default: "X-Forwarded-For",
        "The field in which trusted proxies tell the client's address.")
    static let prefixIPv4 = Setting(
        "address_prefix.ipv4", .prefixLength(of: .v4), default: "32",
        "Leading bits of an IPv4 address that count as one caller; 64:ff9b::a.b.c.d (NAT64) counts as a.b.c.d.")
    static let prefixIPv6 = Setting(
        "address_prefix.ipv6", .prefixLength(of: .v6), default: "64",
        "The same of an IPv6 address: a line has a /64, a customer of many providers a /56.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        addressPrefix = AddressPrefix(
            ipv4: root.value(Self.prefixIPv4, &problems), ipv6: root.value(Self.prefixIPv6, &problems))
        trustedProxies = root.value(Self.trustedProxies, &problems)
        addressField = root.value(Self.addressField, &problems)
    }

    func refuseConflicts(with keys: Settings.Keys, _ root: Mapping, _ problems: inout ProblemList) {
        guard keys.headers.contains(where: { $0.lowercased() == addressField.lowercased() }) else { return }
        root.refuse(
            Self.addressField, expected: "a field that holds no key", got: "'\(addressField)' of keys.headers",
            &problems)
    }
}
