// SPDX-License-Identifier: Apache-2.0

package import Redis

// A key is made in three steps, each of which touches one hash slot (docs/decisions/0015-one-hash-slot-a-script.md):
// its record, named in the set of the unfinished; the pointer from its credential; its name off that set. Only then is
// it shown. So whatever stands in the set for an hour was shown to nobody and is taken away again, its pointer first.

extension RedisScript {
    /// Step 1. KEYS: the organization, the record, all keys, active keys, unfinished ones.
    /// ARGV: revision, local id, the most active keys where the organization says nothing else; then fields of the
    /// record and their values. `not_before` and `expires_at` are seconds since 1970, or behind a `+` from now.
    /// Answers `{created_at, expires_at?}`, `{'missing'}`, `{'full', maximum}`, `{'past'}`, `{'never'}`, or `{'longer',
    /// seconds}` of what the organization lets a key live.
    ///
    /// The active keys are scored by their expiry, so counting is dropping what has expired; as all of it is one script,
    /// however many operators issue at once, the count holds.
    package static let issueKey = RedisScript(
        name: "issue-key",
        source: """
            #!lua
            \(changePrelude)
            \(endingPrelude)
            local organization = redis.call('HMGET', KEYS[1], 'rev', 'max_active_keys', 'status', 'max_lifetime')
            if not organization[1] or organization[3] == 'deleted' then return {'missing'} end
            local time = redis.call('TIME')
            local now = tonumber(time[1])
            local record = {created_at = now}
            for i = 4, #ARGV, 2 do record[ARGV[i]] = ARGV[i + 1] end
            local expires, isLonger = ending(record.expires_at, now, tonumber(time[2]), organization[4])
            if isLonger then return {'longer', tonumber(organization[4])} end
            if expires and expires <= now then return {'past'} end
            local begins = moment(record.not_before, now, 0)
            if begins and expires and begins >= expires then return {'never'} end
            redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
            local maximum = tonumber(organization[2]) or tonumber(ARGV[3])
            if redis.call('ZCARD', KEYS[4]) >= maximum then return {'full', maximum} end
            record.not_before = begins and string.format('%.0f', begins)
            record.expires_at = expires and string.format('%.0f', expires)
            redis.call('ZADD', KEYS[5], now, ARGV[2])
            for field, value in pairs(record) do redis.call('HSET', KEYS[2], field, value) end
            redis.call('ZADD', KEYS[3], now, ARGV[2])
            redis.call('ZADD', KEYS[4], expires or '+inf', ARGV[2])
            change(KEYS[1], ARGV[1])
            return {now, expires}
            """)

    /// Step 3. KEYS: the organization, unfinished keys, the audit stream. ARGV: local id, who, id, name.
    /// Answers `{'done'}`, `{'missing'}`, or `{'late'}` where it has been given up.
    ///
    /// The note goes first: what is refused there has changed nothing, and is taken back.
    package static let finishIssue = RedisScript(
        name: "finish-issue",
        source: """
            #!lua
            \(auditPrelude)
            \(unfinishedPrelude)
            local status = redis.call('HGET', KEYS[1], 'status')
            if not status or status == 'deleted' then return {'missing'} end
            if not isBeingMade(KEYS[2], ARGV[1], \(Unfinished.patience)) then return {'late'} end
            note(KEYS[3], ARGV[2], 'key.issue', ARGV[3], ARGV[4])
            redis.call('ZREM', KEYS[2], ARGV[1])
            return {'done'}
            """)

    /// KEYS: the record, all keys, active keys, unfinished ones, and the record that it was to replace, if it was.
    /// ARGV: local id, and for how many seconds it must have been unfinished. Answers `{1}`, or `{0}` where it is to
    /// stay.
    ///
    /// It is unfinished until all else is gone, so what fails half-way is found again.
    package static let removeUnfinished = RedisScript(
        name: "remove-unfinished",
        source: """
            #!lua flags=allow-oom
            \(unfinishedPrelude)
            if not redis.call('ZSCORE', KEYS[4], ARGV[1]) or isBeingMade(KEYS[4], ARGV[1], ARGV[2]) then return {0} end
            if KEYS[5] and redis.call('HGET', KEYS[5], 'rotated_to') == ARGV[1] then
              redis.call('HDEL', KEYS[5], 'rotated_to')
            end
            redis.call('ZREM', KEYS[2], ARGV[1])
            redis.call('ZREM', KEYS[3], ARGV[1])
            redis.call('DEL', KEYS[1])
            redis.call('ZREM', KEYS[4], ARGV[1])
            return {1}
            """)

    /// KEYS: the organization, the record, active keys, the audit stream, and the record that it replaced, if it did.
    /// ARGV: revision, local id, who, id, local id of what it replaced, and perhaps why, for the audit trail.
    /// Answers `{'revoked'}`, `{'already'}` or `{'missing'}`. Something is written the second time too: replicas are waited for
    /// (`WAIT`) up to what the same connection has written.
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
            \(changePrelude)
            \(workingKeyPrelude)
            local active = redis.call('HGET', KEYS[2], 'is_active')
            local now = tonumber(redis.call('TIME')[1])
            if not active then return {'missing'} end
            if active == '1' then
              if redis.call('EXISTS', KEYS[1]) == 1 then change(KEYS[1], ARGV[1]) end
              redis.call('HSET', KEYS[2], 'is_active', '0', 'revoked_at', now)
            else
              redis.call('HSET', KEYS[2], 'is_active', '0')
            end
            redis.call('ZREM', KEYS[3], ARGV[2])
            if active == '1' then note(KEYS[4], ARGV[3], 'key.revoke', ARGV[4], ARGV[6] or '') end
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
}
