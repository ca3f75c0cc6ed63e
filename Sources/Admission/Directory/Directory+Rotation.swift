// SPDX-License-Identifier: Apache-2.0

import Redis

extension Directory {
    /// The longest time that a replaced key works on, in seconds.
    package static let longestGrace = 30 * 86_400

    /// KEYS: the organization, the old record, the new one, all keys, active keys, the new credential, the audit
    /// stream, and the record that the old one replaced, if it did.
    /// ARGV: revision, who, organization, old local id, new local id, new hash, seconds of grace.
    /// Answers `{now, expiry or 0, end of the old one}`, or one of `{'missing'}`, `{'revoked'}`, `{'expired'}`,
    /// `{'rotating', what replaced it or ''}`, `{'grace'}`, `{'long', octets}`.
    ///
    /// The new record is a copy: it counts in the same buckets (`subject`), by the same numbers, and ends when the old one
    /// would have. Until the grace is over both are keys, and the old one is no longer counted among those that may be.
    /// So it must be over before the new one is replaced: a subject has two working keys at most.
    private static let rotateScript = RedisScript(
        name: "rotate-key",
        source: """
            #!lua
            \(auditPrelude)
            \(workingKeyPrelude)
            local organization = redis.call('HMGET', KEYS[1], 'rev', 'status')
            local old = redis.call('HMGET', KEYS[2], 'is_active', 'revoked_at', 'expires_at', 'rotated_to')
            if not organization[1] or organization[2] == 'deleted' or not old[1] then return {'missing'} end
            local time = redis.call('TIME')
            local now = tonumber(time[1])
            local ends, expires = tonumber(old[2] or '') or 0, tonumber(old[3] or '') or 0
            if old[1] ~= '1' or ends > 0 and ends <= now then return {'revoked'} end
            if expires > 0 and expires <= now then return {'expired'} end
            if ends > 0 then return {'rotating', old[4] or ''} end
            if KEYS[8] and works(KEYS[8], now) then return {'grace'} end
            local length = 0
            for _, field in ipairs({\(RecordBounds.ruleFields)}) do
              length = length + redis.call('HSTRLEN', KEYS[2], field)
            end
            if length > \(RecordBounds.rules) then return {'long', length} end
            redis.call('HSET', KEYS[1], 'rev', ARGV[1])
            local copy = {}
            local fields = redis.call('HGETALL', KEYS[2])
            local own = {key_hash = true, created_at = true, revoked_at = true, rotated_to = true, rotated_from = true,
              last_used_at = true}
            for i = 1, #fields, 2 do
              if not own[fields[i]] then
                copy[#copy + 1] = fields[i]
                copy[#copy + 1] = fields[i + 1]
              end
            end
            redis.call('HSET', KEYS[3], 'key_hash', ARGV[6], 'created_at', now, 'rotated_from', ARGV[4], unpack(copy))
            redis.call('ZADD', KEYS[4], now, ARGV[5])
            redis.call('ZADD', KEYS[5], expires > 0 and expires or '+inf', ARGV[5])
            redis.call('SET', KEYS[6], ARGV[3] .. ' ' .. ARGV[5])
            local grace = tonumber(ARGV[7])
            ends = now + grace
            if grace == 0 then
              redis.call('HSET', KEYS[2], 'is_active', '0', 'revoked_at', now, 'rotated_to', ARGV[5])
            else
              if tonumber(time[2]) > 0 then ends = ends + 1 end
              redis.call('HSET', KEYS[2], 'revoked_at', string.format('%.0f', ends), 'rotated_to', ARGV[5])
            end
            redis.call('ZREM', KEYS[5], ARGV[4])
            note(KEYS[7], ARGV[2], 'key.rotate', ARGV[3] .. '/' .. ARGV[4], 'to ' .. ARGV[3] .. '/' .. ARGV[5] ..
              ', grace ' .. ARGV[7] .. ' s')
            return {now, expires, ends}
            """)

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
            Self.rotateScript,
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
