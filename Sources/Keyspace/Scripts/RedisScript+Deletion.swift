// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the organization. ARGV: revision. Answers `{'missing'}` or `{'marked'}`.
    package static let markDeleted = RedisScript(
        name: "mark-deleted",
        source: """
            #!lua flags=allow-oom
            \(changePrelude)
            if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
            change(KEYS[1], ARGV[1])
            redis.call('HSET', KEYS[1], 'status', 'deleted')
            return {'marked'}
            """)

    /// KEYS: the organization. Answers `{1}` or, where somebody made it live again, `{0}`.
    package static let deleteOrganization = RedisScript(
        name: "delete-organization",
        source: """
            #!lua flags=allow-oom
            if redis.call('HGET', KEYS[1], 'status') ~= 'deleted' then return {0} end
            return {redis.call('DEL', KEYS[1])}
            """)
}
