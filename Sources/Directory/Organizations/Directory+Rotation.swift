// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

extension Directory {
    /// The longest time that a replaced key works on, in seconds.
    package static let longestGrace = 30 * 86_400

    /// Replaces a key by a new one of the same rights, numbers and buckets; both are good for the time of grace.
    ///
    /// - Parameter grace: seconds, at most ``longestGrace``; 0 ends the old one at once.
    /// - Returns: the new key, and when the old one ends, in seconds since 1970.
    package func rotateKey(
        _ id: KeyID, grace: Int, prefix: String = KeyTerms.standard.prefix
    ) async throws(DirectoryError) -> (key: IssuedKey, oldEndsAt: Int) {
        precondition(0...Self.longestGrace ~= grace, "A grace has an end in sight")
        let old = try await self.key(id)
        let key = IssuedKey.randomKey(prefix: prefix)
        let hash = CredentialHash(of: Array(key.utf8))
        let organization = id.organization.text
        let new = KeyID(organization: id.organization, local: KeyID.randomLocal())
        let reply = try await redis.answer(
            .rotateKey,
            keys: [
                names.organization(organization), names.record(id), names.record(new), names.keys(organization),
                names.activeKeys(organization), names.credential(hash), names.audit(organization),
                // Which key it replaced never changes.
            ] + (old.rotatedFrom.map { [names.record($0)] } ?? []),
            arguments: [
                Self.revision(), actor, organization, id.local, new.local,
                String(decoding: hash.hexadecimal, as: UTF8.self), String(grace),
            ])
        switch reply.first {
        case .integer(let now)? where reply.count == 3:
            let expiry = reply[1].integer.flatMap { $0 > 0 ? Int($0) : nil }
            let issued = IssuedKey(key: key, id: new, name: old.name, createdAt: Int(now), expiresAt: expiry)
            return (issued, Int(reply[2].integer ?? now))
        case .bytes(let word)?:
            switch String(decoding: word, as: UTF8.self) {
            case "missing": throw .keyMissing(id.text)
            case "revoked": throw .keyEnded(id.text, "revoked")
            case "expired": throw .keyEnded(id.text, "expired")
            case "rotating":
                throw .keyRotating(id.text, to: reply.last?.text.flatMap { id.sibling($0)?.text })
            case "grace": throw .keyInGrace(old.rotatedFrom?.text ?? "", replacedBy: id.text)
            case "long": throw .rulesTooLong(of: "key \(id.text)", octets: Int(reply.last?.integer ?? 0))
            default: throw .unexpectedReply
            }
        default: throw .unexpectedReply
        }
    }
}
