// SPDX-License-Identifier: Apache-2.0

import Limits

/// Where a request comes from.
struct ClientAddress: Sendable, Equatable {
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

    static let unknown = ClientAddress(.unknown)

    init(_ origin: Origin, countedBy prefix: AddressPrefix = AddressPrefix()) {
        self.origin = origin
        subject =
            switch origin {
            case .ip(let address): address.subject(by: prefix)
            case .unix: "unix"
            case .unknown: "unknown"
            }
    }

    /// Nil where there is none.
    var address: IPAddress? { if case .ip(let address) = origin { address } else { nil } }

    /// The address itself, for logs.
    var text: String {
        switch origin {
        case .ip(let address): address.description
        case .unix, .unknown: subject
        }
    }
}
