// SPDX-License-Identifier: Apache-2.0

package import Redis

// A key is replaced in the same steps as one is issued. What it is replaced by stands in its record from the first of
// them on, so of two who do it at once the second is refused; the old key ends, and counts no more, by the last.

extension RedisScript {
    /// Step 1. KEYS: the organization, the old record, the new one, all keys, unfinished ones, and the record that the
    /// old one replaced, if it did. ARGV: new local id, new hash, old local id, the secret of the new one's check or '', when
    /// the new one ends as for `issueKey`, or '' for when the old one would have.
    /// Answers `{now, expiry or 0}`, or one of `{'missing'}`, `{'revoked'}`, `{'expired'}`,
    /// `{'rotating', what replaced it or ''}`, `{'grace'}`, `{'long', octets}`, `{'past'}`, `{'never'}`,
    /// `{'longer', seconds}`.
    ///
    /// The new record is a copy: it counts in the same buckets (`subject`), by the same numbers. Until the grace is over both are
    /// keys, and the old one is no longer counted among those that may be. So it must be over before the new one is replaced: a
    /// subject has two working keys at most.
    package static let rotateKey = RedisScript(
        name: "rotate-key",
        source: """
            #!lua
            \(workingKeyPrelude)
            \(unfinishedPrelude)
            \(replaceablePrelude)
            \(endingPrelude)
            local refusal, old, now, microseconds = replaceable(KEYS[1], KEYS[2])
            if refusal then return refusal end
            if old[4] and isBeingMade(KEYS[5], old[4], \(Unfinished.claim)) then return {'rotating', old[4]} end
            if KEYS[6] and works(KEYS[6], now) then return {'grace'} end
            local text, longest = ARGV[5] or '', redis.call('HGET', KEYS[1], 'max_lifetime')
            if text == '' and (tonumber(old[3] or '') or 0) > 0 then text = old[3] end
            local expires, isLonger = ending(text, now, microseconds, longest)
            if isLonger then return {'longer', tonumber(longest)} end
            if expires and expires <= now then return {'past'} end
            local begins = tonumber(redis.call('HGET', KEYS[2], 'not_before') or '') or 0
            if expires and begins >= expires then return {'never'} end
            local length = 0
            for _, field in ipairs({\(KeyField.rules.quoted)}) do
              length = length + redis.call('HSTRLEN', KEYS[2], field)
            end
            if length > \(RecordBounds.rules) then return {'long', length} end
            local own = {}
            for _, field in ipairs({\(KeyField.ofOneKey.quoted), '\(KeyField.expiresAt.rawValue)'}) do own[field] = true end
            local copy = {}
            local fields = redis.call('HGETALL', KEYS[2])
            for i = 1, #fields, 2 do
              if not own[fields[i]] then
                copy[#copy + 1] = fields[i]
                copy[#copy + 1] = fields[i + 1]
              end
            end
            if ARGV[4] ~= '' then
              copy[#copy + 1] = '\(KeyField.check.rawValue)'
              copy[#copy + 1] = ARGV[4]
            end
            if expires then
              copy[#copy + 1] = '\(KeyField.expiresAt.rawValue)'
              copy[#copy + 1] = string.format('%.0f', expires)
            end
            redis.call('ZADD', KEYS[5], now, ARGV[1])
            redis.call('HSET', KEYS[3], 'key_hash', ARGV[2], 'created_at', now, 'rotated_from', ARGV[3], unpack(copy))
            redis.call('ZADD', KEYS[4], now, ARGV[1])
            redis.call('HSET', KEYS[2], 'rotated_to', ARGV[1])
            return {now, expires or 0}
            """)

    /// Step 3. KEYS: the organization, the old record, the new one, active keys, unfinished ones, the audit stream.
    /// ARGV: revision, who, old id, new id, old local id, new local id, seconds of grace, what else the audit trail says.
    /// Answers `{end of the old one}`, `{'missing'}`, `{'revoked'}`, `{'expired'}`, `{'rotating', what replaced it or
    /// ''}`, or `{'late'}` where the new one has been given up or revoked. The note goes first, as in `finishIssue`.
    package static let finishRotation = RedisScript(
        name: "finish-rotation",
        source: """
            #!lua
            \(auditPrelude)
            \(changePrelude)
            \(unfinishedPrelude)
            \(replaceablePrelude)
            local refusal, old, now, microseconds = replaceable(KEYS[1], KEYS[2])
            if refusal then return refusal end
            if not isBeingMade(KEYS[5], ARGV[6], \(Unfinished.patience)) then return {'late'} end
            if old[4] ~= ARGV[6] then return {'rotating', old[4] or ''} end
            if redis.call('HGET', KEYS[3], 'is_active') ~= '1' then return {'late'} end
            note(KEYS[6], ARGV[2], 'key.rotate', ARGV[3], 'to ' .. ARGV[4] .. ', grace ' .. ARGV[7] .. ' s' .. ARGV[8])
            change(KEYS[1], ARGV[1])
            local expires = tonumber(redis.call('HGET', KEYS[3], 'expires_at') or '') or 0
            redis.call('ZADD', KEYS[4], expires > 0 and string.format('%.0f', expires) or '+inf', ARGV[6])
            local grace = tonumber(ARGV[7])
            local ends = now + grace
            if grace == 0 then
              redis.call('HSET', KEYS[2], 'is_active', '0', 'revoked_at', now)
            else
              if microseconds > 0 then ends = ends + 1 end
              redis.call('HSET', KEYS[2], 'revoked_at', string.format('%.0f', ends))
            end
            redis.call('ZREM', KEYS[4], ARGV[5])
            redis.call('ZREM', KEYS[5], ARGV[6])
            return {ends}
            """)
}

/// Whether a key can be replaced: `replaceable(organization, record)` answers a refusal, or nil; then `is_active
/// revoked_at expires_at rotated_to` of the record, and Redis' clock in seconds and microseconds.
private let replaceablePrelude = """
    local function replaceable(organization, record)
      local found = redis.call('HMGET', organization, 'rev', 'status')
      local old = redis.call('HMGET', record, 'is_active', 'revoked_at', 'expires_at', 'rotated_to')
      if not found[1] or found[2] == 'deleted' or not old[1] then return {'missing'} end
      local time = redis.call('TIME')
      local now = tonumber(time[1])
      local ends, expires = tonumber(old[2] or '') or 0, tonumber(old[3] or '') or 0
      if old[1] ~= '1' or ends > 0 and ends <= now then return {'revoked'} end
      if expires > 0 and expires <= now then return {'expired'} end
      if ends > 0 then return {'rotating', old[4] or ''} end
      return nil, old, now, tonumber(time[2])
    end
    """
