// SPDX-License-Identifier: Apache-2.0

import Octets

/// Which of the two ways of speaking a client has: what it makes of a refusal differs.
package enum Era: Sendable, Hashable {
    /// Up to 2025-11-25: sessions. A client of SDK 1.x loses its whole session to an HTTP error.
    case legacy
    /// From 2026-07-28: every message stands for itself.
    case modern

    private static let firstModern = Array("2026-07-28".utf8)

    /// - Parameter version: value of `MCP-Protocol-Version`; versions are dates, and compare as text. Anything else, and a
    ///   request without the field, is legacy: what is in-band is clean for every client.
    package init(protocolVersion version: some Collection<UInt8>) {
        let isDate =
            version.count == Self.firstModern.count
            && zip(version, Self.firstModern).allSatisfy { octet, model in
                model == UInt8(ascii: "-") ? octet == model : octet.isDigit
            }
        self = isDate && !version.lexicographicallyPrecedes(Self.firstModern) ? .modern : .legacy
    }
}
