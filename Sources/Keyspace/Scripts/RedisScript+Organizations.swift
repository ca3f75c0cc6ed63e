// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the organization, the audit stream. ARGV: revision, who, name, detail; then fields and values.
    /// Answers `{created_at}` or `{'exists'}`.
    ///
    /// Its changes are counted from the clock's milliseconds on. One that is created anew begins beyond all that was
    /// counted of a former one of that name, which no sidecar takes for a database that went back.
    package static let createOrganization = RedisScript(
        name: "create-organization",
        source: """
            #!lua
            \(auditPrelude)
            if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end
            local time = redis.call('TIME')
            local now = tonumber(time[1])
            local first = string.format('%.0f', now * 1000 + math.floor(time[2] / 1000))
            redis.call('HSET', KEYS[1], 'rev', ARGV[1], 'gen', first, 'name', ARGV[3], 'status', 'active', 'created_at', now,
              unpack(ARGV, 5))
            note(KEYS[2], ARGV[2], 'org.create', ARGV[3], ARGV[4])
            return {now}
            """)

    /// Sets fields of an organization, as long as one of them is what it was when it was looked at.
    ///
    /// KEYS: the organization, the audit stream.
    /// ARGV: revision, who, what, target, detail; the field that has to be as expected and its value, or two empty ones; then
    /// fields and values, an empty value taking the field away.
    /// Answers `{'missing'}`, `{'changed'}` or `{'done', old values…}`. What is being deleted is missing already.
    ///
    /// The revision goes first, for Redis undoes nothing of a script that fails half-way.
    package static let changeOrganization = RedisScript(
        name: "change",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            \(changePrelude)
            if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
            if redis.call('HGET', KEYS[1], 'status') == 'deleted' then return {'missing'} end
            if ARGV[6] ~= '' and (redis.call('HGET', KEYS[1], ARGV[6]) or '') ~= ARGV[7] then return {'changed'} end
            change(KEYS[1], ARGV[1])
            local answer = {'done'}
            for i = 8, #ARGV, 2 do
              answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[i]) or ''
              if ARGV[i + 1] == '' then
                redis.call('HDEL', KEYS[1], ARGV[i])
              else
                redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
              end
            end
            note(KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
            return answer
            """)
}
