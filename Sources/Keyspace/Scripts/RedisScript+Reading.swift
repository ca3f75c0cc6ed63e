// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the organization, its keys, its active keys. ARGV: fields. Answers `{fields, all, active}`.
    package static let describeOrganization = RedisScript(
        name: "describe-organization",
        source: """
            #!lua flags=allow-oom
            local now = redis.call('TIME')[1]
            return {redis.call('HMGET', KEYS[1], unpack(ARGV)), redis.call('ZCARD', KEYS[2]),
              redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')}
            """)

    /// KEYS: the organization, then records. ARGV: how many of the fields that follow are the organization's.
    /// Answers `{now in µs, organization's fields, fields of each record…}`; in a record that is too long, the length
    /// of a long field in its place.
    package static let describeKeys = RedisScript(
        name: "describe-keys",
        source: """
            #!lua flags=allow-oom
            \(boundedReadPrelude)
            local time = redis.call('TIME')
            local own = tonumber(ARGV[1])
            local fields, rules = {unpack(ARGV, own + 2)}, {\(RecordBounds.ruleFields)}
            local answer = {time[1] * 1000000 + time[2], redis.call('HMGET', KEYS[1], unpack(ARGV, 2, own + 1))}
            for i = 2, #KEYS do
              local record = read(KEYS[i], fields, rules)
              if type(record) == 'number' then
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

    /// KEYS: the credential. Answers `{pointer}`.
    ///
    /// A script although it only reads: a primary that was demoted refuses it, where a plain GET would say of a new key that
    /// there is none.
    package static let findKey = RedisScript(
        name: "find-key",
        source: """
            #!lua flags=allow-oom
            return {redis.call('GET', KEYS[1])}
            """)
}
