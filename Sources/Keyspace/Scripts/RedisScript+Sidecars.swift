// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: meta, the policy set, the sidecars, and the route set of one that publishes its routes. ARGV: the database's
    /// id, the policy set, its retention in s, the member, the retention of the route set in s.
    /// Answers 1, 0 where this is another database, or 2 where the route set isn't there: then nothing has changed, for
    /// nobody is to look for what isn't there.
    package static let beat = RedisScript(
        name: "beat",
        source: """
            #!lua flags=allow-oom
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
            if KEYS[4] and redis.call('EXPIRE', KEYS[4], ARGV[5]) == 0 then return 2 end
            local now = tonumber(redis.call('TIME')[1])
            redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
            redis.call('ZADD', KEYS[3], now, ARGV[4])
            redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[3])
            return 1
            """)

    /// KEYS: meta, the route set. ARGV: the database's id, the set, its retention in s. Answers 1, or 0 where this is
    /// another database.
    package static let publishRoutes = RedisScript(
        name: "publish-routes",
        source: """
            #!lua flags=allow-oom
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
            redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
            return 1
            """)

    /// KEYS: the sidecars. ARGV: the lifetime of a beat in s, the member. Makes its beat too old to be one that runs.
    package static let retire = RedisScript(
        name: "retire",
        source: """
            #!lua flags=allow-oom
            redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1] - ARGV[1] - 1, ARGV[2])
            return 1
            """)

    /// KEYS: the sidecars. ARGV: how many at most. Answers `{now in s, member, last beat in s, …}`, newest first.
    package static let listSidecars = RedisScript(
        name: "list-sidecars",
        source: """
            #!lua flags=allow-oom
            local answer = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
            table.insert(answer, 1, redis.call('TIME')[1])
            return answer
            """)
}
