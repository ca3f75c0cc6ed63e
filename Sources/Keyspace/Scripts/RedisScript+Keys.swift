// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: meta, the organization, the audit stream. ARGV: an instance id for a database that has none, revision,
    /// organization, who, plan or '', the most active keys or '', these two as the audit trail tells them.
    /// Answers `{created_at}` or `{'exists'}`.
    package static let createOrganization = RedisScript(
        name: "create-organization",
        source: """
            #!lua
            \(auditPrelude)
            redis.call('SET', KEYS[1], ARGV[1], 'NX')
            if redis.call('EXISTS', KEYS[2]) == 1 then return {'exists'} end
            local now = tonumber(redis.call('TIME')[1])
            redis.call('HSET', KEYS[2], 'rev', ARGV[2], 'name', ARGV[3], 'status', 'active', 'created_at', now)
            if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'plan', ARGV[5]) end
            if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'max_active_keys', ARGV[6]) end
            note(KEYS[3], ARGV[4], 'org.create', ARGV[3], ARGV[7])
            return {now}
            """)

    /// KEYS: meta, the organization, the record, all keys, active keys, the credential, the audit stream.
    /// ARGV: instance id, revision, organization, local id, hash, user, name, seconds to live or '', expiry or '', limits,
    /// the most active keys where the organization says nothing else, tools or '', who, scopes or '', networks or '', seconds
    /// until it begins or '', its beginning or ''.
    /// Answers `{created_at, expires_at?}`, `{'missing'}`, `{'full', maximum}`, `{'past'}` or `{'never'}`.
    ///
    /// The active keys are scored by their expiry, so counting is dropping what has expired; as all of it is one script,
    /// however many operators issue at once, the count holds. Expiries are whole seconds, rounded up: a key never lives
    /// shorter than was asked.
    package static let issueKey = RedisScript(
        name: "issue-key",
        source: """
            #!lua
            \(auditPrelude)
            redis.call('SET', KEYS[1], ARGV[1], 'NX')
            local organization = redis.call('HMGET', KEYS[2], 'rev', 'max_active_keys', 'status')
            if not organization[1] or organization[3] == 'deleted' then return {'missing'} end
            local time = redis.call('TIME')
            local now = tonumber(time[1])
            local expires = tonumber(ARGV[9])
            if ARGV[8] ~= '' then
              expires = now + tonumber(ARGV[8])
              if tonumber(time[2]) > 0 then expires = expires + 1 end
            end
            if expires and expires <= now then return {'past'} end
            local begins = tonumber(ARGV[17])
            if ARGV[16] ~= '' then begins = now + tonumber(ARGV[16]) end
            if begins and expires and begins >= expires then return {'never'} end
            redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
            local maximum = tonumber(organization[2]) or tonumber(ARGV[11])
            if redis.call('ZCARD', KEYS[5]) >= maximum then return {'full', maximum} end
            redis.call('HSET', KEYS[3], 'organization_id', ARGV[3], 'key_hash', ARGV[5], 'created_by_user_id', ARGV[6],
              'is_active', '1', 'name', ARGV[7], 'subject', ARGV[4], 'created_at', now, 'limits', ARGV[10])
            if ARGV[12] ~= '' then redis.call('HSET', KEYS[3], 'tools', ARGV[12]) end
            if ARGV[14] ~= '' then redis.call('HSET', KEYS[3], 'scopes', ARGV[14]) end
            if ARGV[15] ~= '' then redis.call('HSET', KEYS[3], 'allow_from', ARGV[15]) end
            if begins then redis.call('HSET', KEYS[3], 'not_before', string.format('%.0f', begins)) end
            if expires then redis.call('HSET', KEYS[3], 'expires_at', string.format('%.0f', expires)) end
            redis.call('ZADD', KEYS[4], now, ARGV[4])
            redis.call('ZADD', KEYS[5], expires or '+inf', ARGV[4])
            redis.call('HSET', KEYS[2], 'rev', ARGV[2])
            redis.call('SET', KEYS[6], ARGV[3] .. ' ' .. ARGV[4])
            note(KEYS[7], ARGV[13], 'key.issue', ARGV[3] .. '/' .. ARGV[4], ARGV[7])
            return {now, expires}
            """)

    /// KEYS: the organization, the record, active keys, the audit stream, and the record that it replaced, if it did.
    /// ARGV: revision, local id, who, id, local id of what it replaced.
    /// Answers `{'revoked'}`, `{'already'}` or `{'missing'}`.
    ///
    /// Redis undoes nothing of a script that fails half-way (a user of an ACL may lack one of its commands). So the revision
    /// goes first: no record says revoked while sidecars trust the one they remember. What is left then, the place among
    /// the active keys, the next attempt takes. A full memory is no reason to let a key live: `allow-oom`.
    ///
    /// What it replaced takes its place while it works on. Else a key in grace would count nowhere, and with each one
    /// that is issued, replaced and revoked there would be one more.
    package static let revokeKey = RedisScript(
        name: "revoke-key",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            \(workingKeyPrelude)
            local active = redis.call('HGET', KEYS[2], 'is_active')
            local now = tonumber(redis.call('TIME')[1])
            if not active then return {'missing'} end
            if active == '1' then
              if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'rev', ARGV[1]) end
              redis.call('HSET', KEYS[2], 'is_active', '0', 'revoked_at', now)
            end
            redis.call('ZREM', KEYS[3], ARGV[2])
            if active == '1' then note(KEYS[4], ARGV[3], 'key.revoke', ARGV[4], '') end
            if KEYS[5] and works(KEYS[5], now) then
              local ends = math.huge
              for _, moment in ipairs(redis.call('HMGET', KEYS[5], 'revoked_at', 'expires_at')) do
                moment = tonumber(moment or '') or 0
                if moment > 0 and moment < ends then ends = moment end
              end
              redis.call('ZADD', KEYS[3], ends < math.huge and string.format('%.0f', ends) or '+inf', ARGV[5])
            end
            return {active == '1' and 'revoked' or 'already'}
            """)

    /// KEYS: the organization, the old record, the new one, all keys, active keys, the new credential, the audit
    /// stream, and the record that the old one replaced, if it did.
    /// ARGV: revision, who, organization, old local id, new local id, new hash, seconds of grace.
    /// Answers `{now, expiry or 0, end of the old one}`, or one of `{'missing'}`, `{'revoked'}`, `{'expired'}`,
    /// `{'rotating', what replaced it or ''}`, `{'grace'}`, `{'long', octets}`.
    ///
    /// The new record is a copy: it counts in the same buckets (`subject`), by the same numbers, and ends when the old one
    /// would have. Until the grace is over both are keys, and the old one is no longer counted among those that may be.
    /// So it must be over before the new one is replaced: a subject has two working keys at most.
    package static let rotateKey = RedisScript(
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
}
