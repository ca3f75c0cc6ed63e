// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits
package import Redis

/// An organization as operators see it. Moments are seconds since 1970.
package struct OrganizationDescription: Sendable, Equatable {
    package var id: OrganizationID
    package var isSuspended: Bool
    package var createdAt: Int?
    /// Nil: the sidecars' configuration says.
    package var maximumActiveKeys: Int?
    /// Whose numbers stand behind its own.
    package var plan: String?
    /// Other numbers than the configuration's.
    package var overrides: LimitOverrides
    /// Neither revoked nor expired.
    package var activeKeys: Int
    package var allKeys: Int

    /// In the order of the script: what admission reads, then what it doesn't.
    package static let fields = ["rev", "status", "limits", "plan", "created_at", "max_active_keys"]

    package init?(_ id: OrganizationID, _ fields: [RedisReply], activeKeys: Int, allKeys: Int) {
        guard fields.count == Self.fields.count, let record = OrganizationRecord(Array(fields.prefix(4))) else {
            return nil
        }
        self.id = id
        isSuspended = record.isSuspended
        createdAt = fields[4].number
        maximumActiveKeys = fields[5].text.flatMap { Int($0) }
        plan = record.plan
        overrides = record.overrides
        self.activeKeys = activeKeys
        self.allKeys = allKeys
    }
}

/// A key's record as operators see it; nothing of the key itself is in it. Moments are seconds since 1970.
package struct KeyDescription: Sendable, Equatable {
    /// What a request with the key would be told, whatever its limits.
    package enum Status: String, Sendable, Equatable {
        case active
        case revoked
        case expired
        case notYetValid = "not yet valid"
        /// The key would hold, but its organization is suspended.
        case suspended
        /// The record can't be read, so the key is none.
        case unreadable
    }

    package var id: KeyID
    package var status: Status
    package var name: String
    /// Who asked for it; may be empty.
    package var user: String
    /// The short id whose buckets the key draws on.
    package var subject: String
    package var createdAt: Int?
    package var notBefore: Int?
    package var expiresAt: Int?
    package var revokedAt: Int?
    /// The key that replaced it.
    package var rotatedTo: KeyID?
    /// The key that it replaced.
    package var rotatedFrom: KeyID?
    package var lastUsedAt: Int?
    package var overrides: LimitOverrides
    package var tools: ToolAccess
    package var scopes: KeyScopes
    /// Where it may be used from.
    package var networks: KeyNetworks
    /// Redis' clock then.
    package var readAt: Int

    /// In the order of the script: what admission reads, then what it doesn't.
    package static let fields = [
        "key_hash", "is_active", "subject", "not_before", "expires_at", "revoked_at", "limits", "tools", "scopes",
        "allow_from",
        "name", "created_by_user_id", "created_at", "rotated_to", "last_used_at",
        "rotated_from",
    ]

    /// - Returns: nil where there is no record.
    package init?(_ id: KeyID, _ fields: [RedisReply], of organization: OrganizationRecord?, at nowMicroseconds: Int) {
        guard fields.count == Self.fields.count, fields.contains(where: { $0 != .null }) else { return nil }
        self.id = id
        let record = KeyRecord(Array(fields.prefix(10)))
        // A number in place of a text: it is longer than may be, and no sidecar reads it.
        let isTooLong = fields.prefix(10).contains { $0.integer != nil }
        status = isTooLong ? .unreadable : Status(record, of: organization, at: nowMicroseconds)
        subject = fields[2].text ?? id.local
        notBefore = fields[3].number
        expiresAt = fields[4].number
        revokedAt = fields[5].number
        overrides = record?.overrides ?? .none
        tools = ToolAccess(fields[7])
        scopes = KeyScopes(fields[8]) ?? KeyScopes()
        networks = KeyNetworks(fields[9]) ?? KeyNetworks()
        name = fields[10].text ?? ""
        user = fields[11].text ?? ""
        createdAt = fields[12].number
        rotatedTo = fields[13].text.flatMap(id.sibling)
        lastUsedAt = fields[14].number
        rotatedFrom = fields[15].text.flatMap(id.sibling)
        readAt = nowMicroseconds / 1_000_000
    }

    /// When it ends or has ended, by whatever comes first: its expiry, its revocation, or the grace of one that was replaced.
    package var endsAt: Int? { [expiresAt, revokedAt].compactMap(\.self).min() }
}

extension KeyDescription.Status {
    fileprivate init(_ record: KeyRecord?, of organization: OrganizationRecord?, at nowMicroseconds: Int) {
        guard let record, let organization else {
            self = .unreadable
            return
        }
        let lasting = record.standing(isSuspended: organization.isSuspended)
        self =
            switch lasting == .holds ? record.standing(at: nowMicroseconds) : lasting {
            case .holds: .active
            case .revoked: .revoked
            case .expired: .expired
            case .notYetValid: .notYetValid
            case .suspended: .suspended
            }
    }
}

extension RedisReply {
    /// A decimal number above 0; 0 means none in the records.
    fileprivate var number: Int? {
        text.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }
}
