// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the plan, the plans' revision, their audit stream. ARGV: revision, who, name, limits, detail.
    /// Answers `{1}` where it is new, else `{0}`.
    package static let setPlan = RedisScript(
        name: "set-plan",
        source: """
            #!lua
            \(auditPrelude)
            local now = redis.call('TIME')[1]
            local isNew = redis.call('HSETNX', KEYS[1], 'created_at', now)
            redis.call('HSET', KEYS[1], 'limits', ARGV[4], 'changed_at', now)
            redis.call('SET', KEYS[2], ARGV[1])
            note(KEYS[3], ARGV[2], 'plan.set', ARGV[3], ARGV[5])
            return {isNew}
            """)

    /// KEYS and ARGV as above. Answers `{1}` where it was there.
    package static let deletePlan = RedisScript(
        name: "delete-plan",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            if redis.call('DEL', KEYS[1]) == 0 then return {0} end
            redis.call('SET', KEYS[2], ARGV[1])
            note(KEYS[3], ARGV[2], 'plan.delete', ARGV[3], '')
            return {1}
            """)

    /// KEYS: the plan. Answers its fields. A script, as a replica's answer would be an old one.
    package static let describePlan = RedisScript(
        name: "describe-plan",
        source: """
            #!lua flags=allow-oom
            return redis.call('HMGET', KEYS[1], \(PlanField.allCases.quoted))
            """)
}
