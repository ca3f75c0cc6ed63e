// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Octets
import Redis

extension Directory {
    /// The longest time that a replaced key works on, in seconds.
    package static let longestGrace = Replacement.longestGrace

    /// Replaces a key by a new one of the same rights, numbers and buckets; both are good for the time of grace.
    ///
    /// - Parameters:
    ///   - grace: seconds, at most ``longestGrace``; 0 ends the old one at once.
    ///   - expiry: of the new one; nil: when the old one would have ended.
    ///   - secret: what the new one's check is made with; nil for none.
    /// - Returns: the new key, and when the old one ends, in seconds since 1970.
    package func rotateKey(
        _ id: KeyID, grace: Int, expiry: KeyOrder.Expiry? = nil, prefix: String = KeyTerms.standard.prefix,
        secret: IssuingSecret? = nil
    ) async throws(DirectoryError) -> (key: IssuedKey, oldEndsAt: Int) {
        precondition(0...Self.longestGrace ~= grace, "A grace has an end in sight")
        let old = try await self.key(id)
        let key = KeyForm.random(prefix: prefix, under: secret?.secret)
        let hash = CredentialHash(of: Array(key.utf8)).text
        let organization = id.organization.text
        let new = KeyID(organization: id.organization, local: KeyID.randomLocal())
        let reply = try await redis.answer(
            .rotateKey,
            keys: [
                names.organization(organization), names.record(id), names.record(new), names.keys(organization),
                names.unfinishedKeys(organization),
                // Which key it replaced never changes.
            ] + (old.rotatedFrom.map { [names.record($0)] } ?? []),
            arguments: [new.local, hash, id.local, secret?.secret.id ?? "", expiry?.text ?? ""])
        guard let now = reply.first?.integer, reply.count == 2 else { throw refusal(reply, of: old) }
        let expiry = reply[1].integer.flatMap { $0 > 0 ? Int($0) : nil }
        let issued = IssuedKey(key: key, id: new, name: old.name, createdAt: Int(now), expiresAt: expiry)
        let end = try await complete(new, hash, insteadOf: id) { () throws(DirectoryError) in
            try await confirm(secret)
            return try await finishRotation(of: old, to: new, grace: grace, expiry: expiry)
        }
        return (issued, end)
    }

    /// - Returns: when the old one ends.
    private func finishRotation(
        of old: KeyDescription, to new: KeyID, grace: Int, expiry: Int?
    ) async throws(DirectoryError) -> Int {
        let organization = new.organization.text
        let reply = try await redis.answer(
            .finishRotation,
            keys: [
                names.organization(organization), names.record(old.id), names.record(new),
                names.activeKeys(organization), names.unfinishedKeys(organization), names.audit(organization),
            ],
            arguments: [
                Revision.random(), actor, old.id.text, new.text, old.id.local, new.local, String(grace),
                expiry.map { ", expires \(CivilTime(secondsSince1970: $0).text)" } ?? "",
            ])
        guard let end = reply.first?.integer else { throw refusal(reply, of: old) }
        return Int(end)
    }

    /// Why the key isn't replaced.
    private func refusal(_ reply: [RedisReply], of key: KeyDescription) -> DirectoryError {
        let id = key.id
        return switch reply.first?.text {
        case "missing": .keyMissing(id.text)
        case "revoked": .keyEnded(id.text, "revoked")
        case "expired": .keyEnded(id.text, "expired")
        case "rotating": .keyRotating(id.text, to: reply.last?.text.flatMap { id.sibling($0)?.text })
        case "grace": .keyInGrace(key.rotatedFrom?.text ?? "", replacedBy: id.text)
        case "long": .rulesTooLong(of: "key \(id.text)", octets: Int(reply.last?.integer ?? 0))
        case "late": .busy
        case "past": .expiryInThePast
        case "never": .endsBeforeItBegins(id.text)
        case "longer": .lifetimeTooLong(id.organization.text, seconds: Int(reply.last?.integer ?? 0))
        default: .unexpectedReply
        }
    }
}
