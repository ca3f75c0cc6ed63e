// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits
import Redis

/// An organization as operators see it. Moments are seconds since 1970.
package struct OrganizationDescription: Sendable, Equatable {
    package var id: OrganizationID
    package var isSuspended: Bool
    package var createdAt: Int?
    /// Nil: the sidecars' configuration says.
    package var maximumActiveKeys: Int?
    /// Seconds that its keys may live; nil: for ever.
    package var maximumLifetime: Int?
    /// What is noted about it, as it is written.
    package var meta: String?
    /// Whose numbers stand behind its own.
    package var plan: String?
    /// Other numbers than the configuration's.
    package var overrides: LimitOverrides
    /// Neither revoked nor expired.
    package var activeKeys: Int
    package var allKeys: Int

    package init?(_ id: OrganizationID, _ fields: RecordValues<OrganizationField>, activeKeys: Int, allKeys: Int) {
        guard let record = OrganizationRecord(fields) else { return nil }
        self.id = id
        isSuspended = record.isSuspended
        createdAt = fields[.createdAt].number
        maximumActiveKeys = fields[.maximumActiveKeys].text.flatMap { Int($0) }
        maximumLifetime = fields[.maximumLifetime].number
        meta = record.meta
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
    /// The secret that its check was made with; nil where it has none.
    package var check: String?
    package var overrides: LimitOverrides
    package var tools: ToolAccess
    package var scopes: KeyScopes
    /// How soon before its end somebody was told of it, in seconds.
    package var toldWithin: [Int]
    /// What is noted about it, as it is written.
    package var meta: String?
    /// Where it may be used from.
    package var networks: KeyNetworks
    /// Redis' clock then.
    package var readAt: Int

    /// - Returns: nil where there is no record.
    package init?(
        _ id: KeyID, _ fields: RecordValues<KeyField>, of organization: OrganizationRecord?, at nowMicroseconds: Int
    ) {
        guard !fields.isEmpty else { return nil }
        self.id = id
        let record = KeyRecord(fields)
        status =
            fields.isTooLong(among: KeyField.admitted)
            ? .unreadable : Status(record, of: organization, at: nowMicroseconds)
        subject = fields[.subject].text ?? id.local
        notBefore = fields[.notBefore].number
        expiresAt = fields[.expiresAt].number
        revokedAt = fields[.revokedAt].number
        overrides = record?.overrides ?? .none
        tools = record?.tools ?? ToolAccess(fields[.tools])
        scopes = record?.scopes ?? KeyScopes(fields[.scopes]) ?? KeyScopes()
        networks = record?.networks ?? KeyNetworks(fields[.networks]) ?? KeyNetworks()
        toldWithin = fields[.toldWithin].text?.split(separator: " ").compactMap { Int($0) } ?? []
        meta = fields[.meta].text
        name = fields[.name].text ?? ""
        user = fields[.user].text ?? ""
        createdAt = fields[.createdAt].number
        rotatedTo = fields[.rotatedTo].text.flatMap(id.sibling)
        lastUsedAt = fields[.lastUsedAt].number
        check = fields[.check].text.flatMap { CheckSecret.isID($0) ? $0 : nil }
        rotatedFrom = fields[.rotatedFrom].text.flatMap(id.sibling)
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
