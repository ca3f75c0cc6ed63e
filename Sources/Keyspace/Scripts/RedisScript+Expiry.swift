// SPDX-License-Identifier: Apache-2.0

package import Redis

extension RedisScript {
    /// KEYS: a record, the audit stream. ARGV: who, the key's id, seconds, detail.
    /// Answers `{1}`, or `{0}` where there is no such record.
    ///
    /// The newest sixteen are kept. Admission doesn't read them, so the revision stays as it is.
    package static let noteTold = RedisScript(
        name: "note-told",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end
            local field, told = '\(KeyField.toldWithin.rawValue)', {}
            local text = redis.call('HSTRLEN', KEYS[1], field) <= \(RecordBounds.label) and redis.call('HGET', KEYS[1], field)
            for one in string.gmatch(text or '', '%d+') do
              if one ~= ARGV[3] then told[#told + 1] = one end
            end
            while #told >= 16 do table.remove(told, 1) end
            told[#told + 1] = ARGV[3]
            redis.call('HSET', KEYS[1], field, table.concat(told, ' '))
            note(KEYS[2], ARGV[1], 'key.expiring', ARGV[2], ARGV[4])
            return {1}
            """)
}
