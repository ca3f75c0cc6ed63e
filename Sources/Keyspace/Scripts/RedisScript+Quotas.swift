// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: what holds the state of each policy. ARGV: for each its kind, `b`, `q` or `c`.
    /// Answers `{now in µs, state, last, state, last…}`: what is stored, of slots how many are taken, and the last ms of it, or
    /// less than 0.
    ///
    /// A script although it only reads: a primary that was demoted refuses it, where a plain MGET would still answer.
    package static let readQuotas = RedisScript(
        name: "read-buckets",
        source: """
            #!lua flags=allow-oom
            local time = redis.call('TIME')
            local now = time[1] * 1000000 + time[2]
            local answer = {now}
            for i = 1, #KEYS do
              if ARGV[i] == 'c' then
                answer[2 * i] = tostring(redis.call('ZCOUNT', KEYS[i], string.format('(%.0f', now), '+inf'))
              else
                answer[2 * i] = redis.call('GET', KEYS[i])
              end
              answer[2 * i + 1] = redis.call('PEXPIRETIME', KEYS[i])
            end
            return answer
            """)

    /// KEYS: none. Answers `{now in µs}`.
    package static let clock = RedisScript(
        name: "clock",
        source: """
            #!lua flags=allow-oom
            local time = redis.call('TIME')
            return {time[1] * 1000000 + time[2]}
            """)
}
