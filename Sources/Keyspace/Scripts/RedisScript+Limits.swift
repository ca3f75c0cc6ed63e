// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: a hash. Answers `{whether it exists, its limits, what replaced it, what it replaced}`. A script, as a
    /// replica's answer would be an old one.
    package static let readLimits = RedisScript(
        name: "limits",
        source: """
            #!lua flags=allow-oom
            local fields = redis.call('HMGET', KEYS[1], 'limits', 'rotated_to', 'rotated_from')
            return {redis.call('EXISTS', KEYS[1]), unpack(fields)}
            """)

    /// Sets the numbers of a key, and of the other working key of its subject: both count in the same buckets, and two
    /// definitions of one bucket would each undo the other.
    ///
    /// KEYS: the organization, the audit stream, the record, and that of the key it was replaced by, or which it
    /// replaced.
    /// ARGV: revision, who, the limits that are expected, those to set, detail, what replaced it as expected, the key's
    /// id, and the other's.
    /// Answers `{'missing'}`, `{'changed'}`, `{'long', octets}` or `{'done', how many records}`. What is too long
    /// already may be made shorter.
    package static let limitKey = RedisScript(
        name: "limit-key",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            \(changePrelude)
            \(workingKeyPrelude)
            if redis.call('EXISTS', KEYS[1], KEYS[3]) < 2 then return {'missing'} end
            local found = redis.call('HMGET', KEYS[3], 'limits', 'rotated_to')
            if (found[1] or '') ~= ARGV[3] or (found[2] or '') ~= ARGV[6] then return {'changed'} end
            local now = tonumber(redis.call('TIME')[1])
            local last = KEYS[4] and works(KEYS[3], now) and works(KEYS[4], now) and 4 or 3
            for i = 3, last do
              local length = #ARGV[4]
              for _, field in ipairs({\(KeyField.rules.quoted)}) do
                if field ~= 'limits' then length = length + redis.call('HSTRLEN', KEYS[i], field) end
              end
              if length > \(RecordBounds.rules) and #ARGV[4] >= #ARGV[3] then return {'long', length} end
            end
            change(KEYS[1], ARGV[1])
            for i = 3, last do
              if ARGV[4] == '' then
                redis.call('HDEL', KEYS[i], 'limits')
              else
                redis.call('HSET', KEYS[i], 'limits', ARGV[4])
              end
              note(KEYS[2], ARGV[2], 'key.limit', ARGV[i + 4], ARGV[5])
            end
            return {'done', last - 2}
            """)
}
