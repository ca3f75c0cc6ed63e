// SPDX-License-Identifier: Apache-2.0

import Limits

/// Where a request comes from. An object: each request notes it in several places.
final class ClientAddress: Sendable, Equatable {
    enum Origin: Sendable, Hashable {
        case ip(IPAddress)
        /// A Unix socket, and nobody said more.
        case unix
        /// The socket's peer has no address that we know of.
        case unknown
    }

    let origin: Origin
    /// Whom it counts as, where a policy has no prefix of its own: `203.0.113.9`, `2001:db8::/64`, `unix`.
    let subject: String
    /// The address itself, for logs.
    let text: String

    static let unknown = ClientAddress(.unknown)

    init(_ origin: Origin, countedBy prefix: AddressPrefix = AddressPrefix()) {
        self.origin = origin
        switch origin {
        case .ip(let address): (subject, text) = (address.subject(by: prefix), address.description)
        case .unix: (subject, text) = ("unix", "unix")
        case .unknown: (subject, text) = ("unknown", "unknown")
        }
    }

    static func == (one: ClientAddress, other: ClientAddress) -> Bool {
        one.origin == other.origin && one.subject == other.subject && one.text == other.text
    }

    /// Nil where there is none.
    var address: IPAddress? { if case .ip(let address) = origin { address } else { nil } }
}
