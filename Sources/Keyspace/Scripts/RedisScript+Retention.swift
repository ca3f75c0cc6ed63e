// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: meta, the lock. ARGV: the database's id, who holds it, for how many ms. Answers `{1}` for the holder, else `{0}`.
    package static let lockRetention = RedisScript(
        name: "lock-retention",
        source: """
            #!lua flags=allow-oom
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
            if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {1} end
            if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {0} end
            redis.call('PEXPIRE', KEYS[2], ARGV[3])
            return {1}
            """)

    /// KEYS: the organization, its active keys. ARGV: spans in s, ascending, and how many keys to name. Answers how many keys
    /// end within each span from now, then `local id, end` of those that end first within the last of them; no keys of an
    /// organization that is suspended or being deleted.
    package static let countExpiring = RedisScript(
        name: "count-expiring",
        source: """
            #!lua flags=allow-oom
            local isActive = redis.call('HGET', KEYS[1], 'status') == 'active'
            local now = tonumber(redis.call('TIME')[1])
            local spans = #ARGV - 1
            local answer = {}
            for i = 1, spans do
              answer[i] = isActive and redis.call('ZCOUNT', KEYS[2], '(' .. now, now + ARGV[i]) or 0
            end
            if answer[spans] > 0 then
              local first = redis.call('ZRANGE', KEYS[2], '(' .. now, now + ARGV[spans], 'BYSCORE', 'LIMIT', 0,
                ARGV[#ARGV], 'WITHSCORES')
              for i = 1, #first do answer[#answer + 1] = first[i] end
            end
            return answer
            """)

    /// KEYS: meta, the lock, the figure. ARGV: the database's id, who holds the lock, the figure, its lifetime in ms.
    /// Answers `{1}`, or `{0}` where the lock is somebody else's by now.
    package static let publishExpiring = RedisScript(
        name: "publish-expiring",
        source: """
            #!lua
            if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[2] then return {0} end
            redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
            return {1}
            """)

    /// KEYS: records. ARGV: the retention in s. Answers `{place, key_hash…}` of those that are to go, places from 0.
    package static let findEnded = RedisScript(
        name: "find-revoked",
        source: """
            #!lua flags=allow-oom
            local before = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1])
            local answer = {}
            for i = 1, #KEYS do
              -- What is no hash keeps no other.
              local record = redis.pcall('HMGET', KEYS[i], 'key_hash', 'revoked_at')
              local revoked = tonumber(record[2] or '') or 0
              if record[1] and revoked > 0 and revoked <= before then
                answer[#answer + 1] = i - 1
                answer[#answer + 1] = record[1]
              end
            end
            return answer
            """)

    /// KEYS: the organization, the record, all keys, active keys, the audit trail, keys that ended long ago. ARGV: revision,
    /// local id, hash, the retention in s, who, the key's id. Answers `{1}`, or `{0}` where it is to stay.
    ///
    /// The revision goes first, as with every change of a key. The hash is remembered for years: the file of an import
    /// may be older than the revocation.
    package static let removeEnded = RedisScript(
        name: "remove-key",
        source: """
            #!lua flags=allow-oom
            \(changePrelude)
            local record = redis.call('HMGET', KEYS[2], 'key_hash', 'revoked_at')
            local revoked = tonumber(record[2] or '') or 0
            local now = tonumber(redis.call('TIME')[1])
            local before = now - tonumber(ARGV[4])
            if record[1] ~= ARGV[3] or revoked <= 0 or revoked > before then return {0} end
            if redis.call('EXISTS', KEYS[1]) == 1 then
              change(KEYS[1], ARGV[1])
              redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - \(EndedKeys.remembered))
              redis.call('ZADD', KEYS[6], now, ARGV[3])
              redis.call('XADD', KEYS[5], 'MAXLEN', '~', '\(AuditTrail.kept)', '*', 'who', ARGV[5], 'what', 'key.purge',
                'target', ARGV[6], 'detail', 'revoked ' .. record[2])
            end
            redis.call('ZREM', KEYS[3], ARGV[2])
            redis.call('ZREM', KEYS[4], ARGV[2])
            redis.call('DEL', KEYS[2])
            return {1}
            """)
}
