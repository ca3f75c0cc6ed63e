// SPDX-License-Identifier: Apache-2.0

package import Redis

// The one table of what stands in records: scripts are given the names of fields from it, their answers are read by it,
// and what is written into a record is written by it.

/// A field of a key's record.
package enum KeyField: String, CaseIterable, RecordField {
    /// SHA-256 of the key in lowercase hexadecimal.
    case hash = "key_hash"
    case isActive = "is_active"
    case subject
    case notBefore = "not_before"
    case expiresAt = "expires_at"
    case revokedAt = "revoked_at"
    case limits
    case tools
    case scopes
    case networks = "allow_from"
    case name
    case user = "created_by_user_id"
    case createdAt = "created_at"
    case rotatedTo = "rotated_to"
    case lastUsedAt = "last_used_at"
    case rotatedFrom = "rotated_from"
    /// The id of the secret that its check was made with (``CheckSecret``).
    case check
    /// What its operator notes about it (``Meta``).
    case meta
    /// How soon before its end somebody was told of it: seconds, once each.
    case toldWithin = "told_within"
    case organization = "organization_id"

    /// What admission reads.
    package static let admitted: [Self] = [
        .hash, .isActive, .subject, .notBefore, .expiresAt, .revokedAt, .limits, .tools, .scopes, .networks,
        .meta,
    ]
    /// What operators see.
    package static let described =
        admitted + [
            .name, .user, .createdAt, .rotatedTo, .lastUsedAt, .rotatedFrom, .check, .toldWithin,
        ]
    /// What the caller may do, and how often: together they have ``RecordBounds/rules`` at most.
    package static let rules: [Self] = [.limits, .tools, .scopes, .networks]
    /// What may be long: it is measured before it is read.
    static let measured = rules + [.meta]
    /// What a key that replaces another doesn't have from it.
    static let ofOneKey: [Self] = [
        .hash, .createdAt, .revokedAt, .rotatedTo, .rotatedFrom, .lastUsedAt, .check, .toldWithin,
    ]

    package static func place(of field: Self, in fields: [Self]) -> Int? { fields.firstIndex(of: field) }
}

/// A field of an organization's record.
package enum OrganizationField: String, CaseIterable, RecordField {
    case revision = "rev"
    /// How many changes of it and of its keys there were, from the moment of its creation on.
    case generation = "gen"
    case status
    case limits
    case plan
    case createdAt = "created_at"
    case maximumActiveKeys = "max_active_keys"
    /// Seconds that a key may live from its making on.
    case maximumLifetime = "max_lifetime"
    /// What its operator notes about it (``Meta``).
    case meta
    case name

    /// What admission reads.
    package static let admitted: [Self] = [.revision, .status, .limits, .plan, .generation, .meta]
    /// What operators see.
    package static let described = admitted + [.createdAt, .maximumActiveKeys, .maximumLifetime]
    /// What may be long: it is measured before it is read.
    static let measured: [Self] = [.limits, .meta]

    package static func place(of field: Self, in fields: [Self]) -> Int? { fields.firstIndex(of: field) }
}

/// A field of a plan.
package enum PlanField: String, CaseIterable, RecordField {
    case limits
    case createdAt = "created_at"
    case changedAt = "changed_at"

    package static func place(of field: Self, in fields: [Self]) -> Int? { fields.firstIndex(of: field) }
}

/// A field of any record.
package protocol RecordField: Equatable, Sendable {
    /// Where it stands in a list. Each has it by itself: lists read millions of values, and search that is generic would take a
    /// third of their time.
    static func place(of field: Self, in fields: [Self]) -> Int?
}

/// What a script answered of a record, by the fields that it was asked for.
package struct RecordValues<Field: RecordField>: Sendable {
    private let fields: [Field]
    private let values: [RedisReply]

    /// - Returns: nil where it answered another number of values.
    package init?(_ values: [RedisReply], of fields: [Field]) {
        guard values.count == fields.count else { return nil }
        self.fields = fields
        self.values = values
    }

    /// Null where the record has no such field.
    package subscript(_ field: Field) -> RedisReply {
        guard let place = Field.place(of: field, in: fields) else {
            preconditionFailure("Cannot read a field that wasn't asked for")
        }
        return values[place]
    }

    /// There is no record.
    package var isEmpty: Bool { values.allSatisfy { $0 == .null } }

    /// Whether a number stands in place of a text: that is longer than may be.
    package func isTooLong(among fields: [Field]) -> Bool {
        values.contains { $0.integer != nil } && fields.contains { self[$0].integer != nil }
    }
}

extension Sequence where Element: RawRepresentable<String> {
    /// As arguments and lists of Lua have them.
    var quoted: String { map { "'\($0.rawValue)'" }.joined(separator: ", ") }
}
