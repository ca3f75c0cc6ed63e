// SPDX-License-Identifier: Apache-2.0

package import Limits
import Redis

/// What admission reads of a key's record: ``KeyField/admitted``.
package struct KeyRecord: Sendable, Equatable {
    // In this order nothing lies between: there are thousands.

    /// The short id the key was first issued with: whose buckets it draws on, through all rotations.
    package var subject: String
    /// The key holds from here, in microseconds since 1970 ...
    package var validFrom: Int
    /// ... to just before this: its expiry or its revocation to come, whichever is first.
    package var validUntil: Int
    package var overrides: LimitOverrides
    package var tools: ToolAccess
    package var scopes: KeyScopes
    /// What its operator notes about it, as it is written; nil for nothing.
    package var meta: String?
    package var networks: KeyNetworks
    package var isActive: Bool
    /// What the end of validity means to the caller.
    package var endsByRevocation: Bool

    /// Beyond all time that a script can count.
    package static let never = 1 << 53

    /// - Returns: nil where the record is missing, or says something about its validity, scopes or networks that can't
    ///   be read: then the key is none, rather than one without end or bounds.
    package init?(_ fields: RecordValues<KeyField>) {
        guard case .bytes = fields[.hash], let subject = fields[.subject].text, !subject.isEmpty,
            let validFrom = instant(fields[.notBefore], absent: 0),
            let expiry = instant(fields[.expiresAt], absent: Self.never),
            let revocation = instant(fields[.revokedAt], absent: Self.never), let scopes = KeyScopes(fields[.scopes]),
            let networks = KeyNetworks(fields[.networks])
        else { return nil }
        self.isActive = fields[.isActive].text == "1"
        self.subject = subject
        self.validFrom = validFrom
        self.validUntil = min(expiry, revocation)
        self.endsByRevocation = revocation < expiry
        self.overrides = LimitOverrides(parsing: fields[.limits].text ?? "")
        self.tools = ToolAccess(fields[.tools])
        self.scopes = scopes
        self.networks = networks
        meta = fields[.meta].text
    }

    package var isBounded: Bool { validFrom > 0 || validUntil < Self.never }

    /// Where the key stands, whatever the time.
    package func standing(isSuspended: Bool) -> KeyStanding {
        if !isActive { return .revoked }
        return isSuspended ? .suspended : .holds
    }

    /// Where it stands at this instant of Redis' clock.
    package func standing(at nowMicroseconds: Int) -> KeyStanding {
        if nowMicroseconds < validFrom { return .notYetValid }
        guard nowMicroseconds >= validUntil else { return .holds }
        return endsByRevocation ? .revoked : .expired
    }
}

/// Unix seconds in decimal as microseconds; absent, empty and 0 mean none. Nil where it is no such number.
private func instant(_ field: RedisReply, absent: Int) -> Int? {
    if case .null = field { return absent }
    guard let text = field.text else { return nil }
    guard !text.isEmpty else { return absent }
    guard let seconds = Int(text), seconds >= 0 else { return nil }
    return seconds == 0 ? absent : min(seconds, KeyRecord.never / 1_000_000) * 1_000_000
}
