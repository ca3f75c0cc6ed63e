// SPDX-License-Identifier: Apache-2.0

package import Keyspace

/// What of a key is exported and imported: its id, every field of its record, and whether its organization is suspended.
package enum KeyColumn: Sendable, Hashable {
    case id
    case organizationStatus
    case field(KeyField)

    /// How a value is written.
    package enum Form: Sendable {
        case text
        case flag
        /// Seconds since 1970 in the record; a moment outside.
        case moment
        /// `a b c` in the record.
        case words
        /// `search=100/10s other=5/1m` in the record.
        case pairs
        /// An object of JSON, as text.
        case object
    }

    /// In the order in which they are exported.
    package static let all: [Self] =
        [.field(.organization), .organizationStatus, .id] + KeyField.described.map(Self.field)

    package init?(_ name: String) {
        guard let column = Self.byName[name] else { return nil }
        self = column
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// As the record calls it.
    package var name: String {
        switch self {
        case .id: "id"
        case .organizationStatus: "organization_status"
        case .field(let field): field.rawValue
        }
    }

    package var form: Form {
        switch self {
        case .id, .organizationStatus: .text
        case .field(let field):
            switch field {
            case .hash, .subject, .name, .user, .rotatedTo, .rotatedFrom, .check, .organization: .text
            case .isActive: .flag
            case .notBefore, .expiresAt, .revokedAt, .createdAt, .lastUsedAt: .moment
            case .tools, .scopes, .networks, .toldWithin: .words
            case .limits: .pairs
            case .meta: .object
            }
        }
    }
}
