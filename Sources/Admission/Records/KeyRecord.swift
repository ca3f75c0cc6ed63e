// SPDX-License-Identifier: Apache-2.0

import Redis

/// What admission reads of a key's hash: `key_hash is_active subject not_before expires_at revoked_at limits
/// tools scopes allow_from`.
struct KeyRecord: Sendable, Equatable {
    /// SHA-256 of the key in lowercase hexadecimal.
    var hash: [UInt8]
    var isActive: Bool
    /// The short id the key was first issued with: whose buckets it draws on, through all rotations.
    var subject: String
    /// The key holds from here, in microseconds since 1970 ...
    var validFrom: Int
    /// ... to just before this: its expiry or its revocation to come, whichever is first.
    var validUntil: Int
    /// What the end of validity means to the caller.
    var endsByRevocation: Bool
    var overrides: LimitOverrides
    var tools: ToolAccess
    var scopes: KeyScopes
    var networks: KeyNetworks

    /// Beyond all time that a script can count.
    static let never = 1 << 53

    /// - Returns: nil where the record is missing, or says something about its validity, scopes or networks that can't
    ///   be read: then the key is none, rather than one without end or bounds.
    init?(_ fields: [RedisReply]) {
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

    var isBounded: Bool { validFrom > 0 || validUntil < Self.never }

    /// Why the key is none, whatever the time; nil where it holds.
    func standingRefusal(isSuspended: Bool) -> Denial.Reason? {
        if !isActive { return .revoked }
        return isSuspended ? .suspended : nil
    }

    /// Why the key, though it holds, may not do this: the first of where, for what, and with which tool.
    func objection(to request: AdmissionRequest) -> Denial.Reason? {
        guard networks.permit(request.clientAddress, isUnix: request.address == "unix") else {
            return .addressNotAllowed
        }
        let missing = scopes.missing(of: request.scopes)
        guard missing.isEmpty else { return .insufficientScope(missing) }
        return tools.firstDenied(of: request.tools).map(Denial.Reason.toolNotAllowed)
    }

    /// Why it doesn't hold at this instant of Redis' clock; nil where it does.
    func refusal(at nowMicroseconds: Int) -> Denial.Reason? {
        if nowMicroseconds < validFrom { return .notYetValid }
        guard nowMicroseconds >= validUntil else { return nil }
        return endsByRevocation ? .revoked : .expired
    }
}

/// What admission reads of an organization's hash: `rev status limits plan`.
struct OrganizationRecord: Sendable, Equatable {
    /// Replaced by every change of the organization or one of its keys.
    var revision: [UInt8]
    var isSuspended: Bool
    var overrides: LimitOverrides
    /// Whose numbers stand behind its own.
    var plan: String?

    init?(_ fields: [RedisReply]) {
        guard fields.count == 4, case .bytes(let revision) = fields[0], !revision.isEmpty else { return nil }
        self.revision = revision
        self.isSuspended = fields[1].text != "active"
        self.overrides = LimitOverrides(parsing: fields[2].text ?? "")
        self.plan = fields[3].text.flatMap { $0.isEmpty ? nil : $0 }
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

/// Where a credential's record lies: `<org> <id-part>`, as `<namespace>:1:cred:<sha256hex>` holds it.
struct RecordPointer: Sendable, Hashable {
    var organization: String
    var id: String

    init?(_ reply: RedisReply) {
        guard let text = reply.text else { return nil }
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        organization = String(parts[0])
        id = String(parts[1])
    }

    var principal: Principal {
        Principal(organization: organization, keyID: "\(organization)/\(id)")
    }
}
