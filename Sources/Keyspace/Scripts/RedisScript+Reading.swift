// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the organization, its keys, its active keys. Answers `{fields, all, active}`; which,
    /// `OrganizationField.described` says.
    package static let describeOrganization = RedisScript(
        name: "describe-organization",
        source: """
            #!lua flags=allow-oom
            local now = redis.call('TIME')[1]
            return {redis.call('HMGET', KEYS[1], \(OrganizationField.described.quoted)), redis.call('ZCARD', KEYS[2]),
              redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')}
            """)

    /// KEYS: the organization, then records. Answers `{now in µs, organization's fields, fields of each record…}`, in
    /// the order of `OrganizationField.admitted` and `KeyField.described`; in a record that is too long, the length of
    /// a long field in its place; of one that is no hash, 0 and nothing else, so that it hides no other.
    package static let describeKeys = RedisScript(
        name: "describe-keys",
        source: """
            #!lua flags=allow-oom
            \(boundedReadPrelude)
            local time = redis.call('TIME')
            local fields, long = {\(KeyField.described.quoted)}, {\(KeyField.measured.quoted)}
            local answer = {time[1] * 1000000 + time[2], redis.call('HMGET', KEYS[1], \(OrganizationField.admitted.quoted))}
            for i = 2, #KEYS do
              local isHash, record = pcall(read, KEYS[i], fields, long)
              if not isHash then
                local text = type(record) == 'table' and record.err or tostring(record)
                if not string.find(text, 'WRONGTYPE', 1, true) then error(record) end
                record = {0}
                for place = 2, #fields do record[place] = false end
              elseif type(record) == 'number' then
                record = {}
                for place, field in ipairs(fields) do
                  local length = redis.call('HSTRLEN', KEYS[i], field)
                  record[place] = length > \(RecordBounds.label) and length or redis.call('HGET', KEYS[i], field)
                end
              end
              answer[i + 1] = record
            end
            return answer
            """)

    /// Some keys of an organization, oldest first, behind one of them or from the first on. It doesn't matter whether that
    /// one is still there: places change where something goes meanwhile, an order doesn't.
    ///
    /// KEYS: all keys. ARGV: when the last one was made and its local id, or two empty ones; how many. Answers their local
    /// ids, each with when it was made.
    package static let listKeys = RedisScript(
        name: "list-keys",
        source: """
            #!lua flags=allow-oom
            local score, member = ARGV[1], ARGV[2]
            local low = score == '' and 0 or redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. score)
            local high = score == '' and 0 or redis.call('ZCOUNT', KEYS[1], '-inf', score)
            while low < high do
              local middle = math.floor((low + high) / 2)
              if redis.call('ZRANGE', KEYS[1], middle, middle)[1] <= member then low = middle + 1 else high = middle end
            end
            return redis.call('ZRANGE', KEYS[1], low, low + tonumber(ARGV[3]) - 1, 'WITHSCORES')
            """)
}
