// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOConcurrencyHelpers

/// The room that bodies of MCP messages have in the process while it is found out what they ask for. Shared by the loops: a
/// loop's part of a caller's share wouldn't hold one long message. Only bodies that are longer than one read ask for room.
final class HeldBodies: Sendable {
    private let shares = NIOLockedValueBox(HeldShares())

    /// - Returns: false where that is more than the holder's share, or than there is. Then nothing is granted.
    func grant(_ bytes: Int, to holder: HeldShares.Holder) -> Bool {
        shares.withLockedValue { $0.grant(bytes, to: holder) }
    }

    func release(_ bytes: Int, of holder: HeldShares.Holder) {
        shares.withLockedValue { $0.release(bytes, of: holder) }
    }
}

/// Who holds how much, so that nobody takes it all: of 64 MiB a key a quarter, an organization half, an address without a key
/// an eighth, all of these together half.
///
/// Invariant: nobody stands here with nothing.
struct HeldShares {
    /// Who keeps a body.
    enum Holder: Hashable, Sendable {
        case key(Principal)
        /// As policies count addresses.
        case address(String)
    }

    private enum Part: Hashable {
        case all, key(String), organization(String), strangers, address(String)

        var most: Int {
            switch self {
            case .all: HeldShares.most
            case .organization, .strangers: HeldShares.most / 2
            case .key: HeldShares.most / 4
            case .address: HeldShares.most / 8
            }
        }
    }

    private static let most = 64 << 20

    private var held: [Part: Int] = [:]

    /// Nobody holds anything.
    var isEmpty: Bool { held.isEmpty }

    /// What one caller may hold while nobody else holds anything.
    static func most(of holder: Holder) -> Int {
        parts(of: holder).map(\.most).min() ?? 0
    }

    mutating func grant(_ bytes: Int, to holder: Holder) -> Bool {
        let parts = Self.parts(of: holder)
        guard parts.allSatisfy({ held[$0, default: 0] + bytes <= $0.most }) else { return false }
        for part in parts { held[part, default: 0] += bytes }
        return true
    }

    mutating func release(_ bytes: Int, of holder: Holder) {
        for part in Self.parts(of: holder) {
            let left = held[part, default: 0] - bytes
            precondition(left >= 0, "More is given back than was held")
            held[part] = left == 0 ? nil : left
        }
    }

    private static func parts(of holder: Holder) -> [Part] {
        switch holder {
        case .key(let principal): [.all, .organization(principal.organization), .key(principal.keyID)]
        case .address(let address): [.all, .strangers, .address(address)]
        }
    }
}
