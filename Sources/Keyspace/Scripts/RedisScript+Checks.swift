// SPDX-License-Identifier: Apache-2.0

import Limits
package import Redis

// The secrets that checks of keys are made with lie in one string, a line each: `ID CREATED SECRET`, created in seconds since
// 1970 and the secret in base64url. Whoever can read it can make keys that are worth a look-up, and none that is a key.

extension RedisScript {
    /// KEYS: the secrets. Answers `{now in µs, text}`; of a text that is too long to be theirs, its beginning.
    package static let checkSecrets = RedisScript(
        name: "check-secrets",
        source: """
            #!lua flags=allow-oom
            local time = redis.call('TIME')
            return {time[1] * 1000000 + time[2], redis.call('GETRANGE', KEYS[1], 0, \(StoredCheckSecret.longestText - 1))}
            """)

    /// KEYS: the secrets, the audit stream of what belongs to no organization. ARGV: who, id, secret, and `first` where it is
    /// of use only if there is none.
    /// Answers `{'added'}`, `{'full'}`, or `{'there'}`.
    package static let addCheckSecret = RedisScript(
        name: "add-check-secret",
        source: """
            #!lua
            \(auditPrelude)
            local text = redis.call('GET', KEYS[1]) or ''
            if text ~= '' and string.sub(text, -1) ~= '\\n' then text = text .. '\\n' end
            local _, count = string.gsub(text, '[^\\n]+', '')
            if ARGV[4] == 'first' and count > 0 then return {'there'} end
            if count >= \(CheckSecrets.most) then return {'full'} end
            note(KEYS[2], ARGV[1], 'check.add', ARGV[2], '')
            redis.call('SET', KEYS[1], text .. ARGV[2] .. ' ' .. redis.call('TIME')[1] .. ' ' .. ARGV[3] .. '\\n')
            return {'added'}
            """)

    /// KEYS as above. ARGV: who, id, detail. Answers `{1}` where it was there.
    package static let retireCheckSecret = RedisScript(
        name: "retire-check-secret",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            local text, kept = redis.call('GET', KEYS[1]) or '', ''
            for line in string.gmatch(text, '[^\\n]+') do
              if string.sub(line, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then kept = kept .. line .. '\\n' end
            end
            if kept == text then return {0} end
            note(KEYS[2], ARGV[1], 'check.retire', ARGV[2], ARGV[3])
            if kept == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], kept) end
            return {1}
            """)
}
