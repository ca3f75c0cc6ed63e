// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

/// What admission reads of a key's hash: `key_hash is_active subject not_before expires_at revoked_at limits
/// tools scopes allow_from`.
package struct KeyRecord: Sendable, Equatable {
    /// SHA-256 of the key in lowercase hexadecimal.
    package var hash: [UInt8]
    package var isActive: Bool
    /// The short id the key was first issued with: whose buckets it draws on, through all rotations.
    package var subject: String
    /// The key holds from here, in microseconds since 1970 ...
    package var validFrom: Int
    /// ... to just before this: its expiry or its revocation to come, whichever is first.
    package var validUntil: Int
    /// What the end of validity means to the caller.
    var endsByRevocation: Bool
    package var overrides: LimitOverrides
    package var tools: ToolAccess
    package var scopes: KeyScopes
    package var networks: KeyNetworks

    /// Beyond all time that a script can count.
    package static let never = 1 << 53

    /// - Returns: nil where the record is missing, or says something about its validity, scopes or networks that can't
    ///   be read: then the key is none, rather than one without end or bounds.
    package init?(_ fields: [RedisReply]) {
        guard fields.count == 10, case .bytes(let hash) = fields[0], let subject = fields[2].text, !subject.isEmpty,
            let validFrom = instant(fields[3], absent: 0), let expiry = instant(fields[4], absent: Self.never),
            let revocation = instant(fields[5], absent: Self.never), let scopes = KeyScopes(fields[8]),
            let networks = KeyNetworks(fields[9])
        else { return nil }
        self.hash = hash
        self.isActive = fields[1].text == "1"
        self.subject = subject
        self.validFrom = validFrom
        self.validUntil = min(expiry, revocation)
        self.endsByRevocation = revocation < expiry
        self.overrides = LimitOverrides(parsing: fields[6].text ?? "")
        self.tools = ToolAccess(fields[7])
        self.scopes = scopes
        self.networks = networks
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
