// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// Sets fields of a key's record.
    ///
    /// KEYS: the organization, the record, the audit stream.
    /// ARGV: revision, who, what, the key's id, detail; then fields and values, an empty value taking the field away.
    /// Answers `{1}`, or `{0}` where there is none.
    ///
    /// The revision goes first, for Redis undoes nothing of a script that fails half-way.
    package static let changeKey = RedisScript(
        name: "change-key",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            \(changePrelude)
            if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return {0} end
            change(KEYS[1], ARGV[1])
            for i = 6, #ARGV, 2 do
              if ARGV[i + 1] == '' then
                redis.call('HDEL', KEYS[2], ARGV[i])
              else
                redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
              end
            end
            note(KEYS[3], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
            return {1}
            """)
}
