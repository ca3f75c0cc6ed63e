// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: the database's id, the audit stream of what belongs to no organization. ARGV: the id it gets, who.
    /// Answers `{the id it had}`; nothing is changed where it is the same.
    package static let adoptDatabase = RedisScript(
        name: "adopt-database",
        source: """
            #!lua
            \(auditPrelude)
            local old = redis.call('GET', KEYS[1])
            if old ~= ARGV[1] then
              note(KEYS[2], ARGV[2], 'database.adopt', ARGV[1], old and 'was ' .. old or 'had none')
              redis.call('SET', KEYS[1], ARGV[1])
            end
            return {old}
            """)
}
