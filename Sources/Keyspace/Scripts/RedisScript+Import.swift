// SPDX-License-Identifier: Apache-2.0

package import Redis

// Keys that come from elsewhere are written in the steps of one that is issued: records, pointers, and off the set of
// the unfinished. A key's id is given, or always the same for its hash, so what was interrupted is found again.

extension RedisScript {
    /// Step 1 of keys of one organization. KEYS: the organization, all keys, active keys, unfinished ones, the audit
    /// stream; then records. ARGV: revision, who, the most active keys where the organization says nothing else; then of
    /// each record: local id, hash, `1` where it is active else `0`, `1` where another has replaced it else `0`, when it
    /// was made, expires and was revoked (seconds since 1970, 0 for none), how many arguments follow, and those: fields
    /// and values.
    /// Answers `{'missing'}`, or the most active keys and of each record a word: `new`, `again` (begun before),
    /// `there`, `revoked` (it worked until now), `kept` (it is revoked here and stays so), `full`, `taken` (by another
    /// hash), `longer` (than the organization lets a key live).
    ///
    /// A record that is there isn't changed, but for its end. The revision goes before the first change, as with every
    /// change of a key.
    package static let importKeys = RedisScript(
        name: "import-keys",
        source: """
            #!lua
            \(auditPrelude)
            \(changePrelude)
            \(endingPrelude)
            local organization = redis.call('HMGET', KEYS[1], 'rev', 'max_active_keys', 'status', 'max_lifetime')
            if not organization[1] or organization[3] == 'deleted' then return {'missing'} end
            local now = tonumber(redis.call('TIME')[1])
            redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
            local maximum = tonumber(organization[2]) or tonumber(ARGV[3])
            local active, isChanged = redis.call('ZCARD', KEYS[3]), false
            local function begin()
              if not isChanged then change(KEYS[1], ARGV[1]) end
              isChanged = true
            end
            local answer, at = {maximum}, 4
            for i = 6, #KEYS do
              local id, hash, isActive, isReplaced, made, expires, revoked, count = unpack(ARGV, at, at + 7)
              local first = at + 8
              at = first + tonumber(count)
              made, expires, revoked = tonumber(made), tonumber(expires), tonumber(revoked)
              if made == 0 or made > now then made = now end
              local found = redis.call('HMGET', KEYS[i], 'key_hash', 'is_active')
              local word
              if found[1] and found[1] ~= hash then
                word = 'taken'
              elseif found[1] then
                word = redis.call('ZSCORE', KEYS[4], id) and 'again' or 'there'
                if isActive == '0' and found[2] == '1' then
                  begin()
                  local ended = revoked > 0 and revoked < now and revoked or now
                  redis.call('HSET', KEYS[i], 'is_active', '0', 'revoked_at', string.format('%.0f', ended))
                  redis.call('ZREM', KEYS[3], id)
                  note(KEYS[5], ARGV[2], 'key.revoke', redis.call('HGET', KEYS[1], 'name') .. '/' .. id, 'import')
                  if word == 'there' then word = 'revoked' end
                elseif word == 'there' and isActive == '1' and found[2] ~= '1' then
                  word = 'kept'
                end
              else
                local ends, isLonger, isGiven = expires, false, expires > 0
                if isActive == '1' then
                  ends, isLonger = ending(isGiven and expires or nil, now, 0, organization[4])
                  ends = ends or 0
                  expires = ends
                end
                if revoked > 0 and (ends == 0 or revoked < ends) then ends = revoked end
                local counts = isActive == '1' and (ends == 0 or ends > now) and not (isReplaced == '1' and revoked > now)
                if isLonger then
                  word = 'longer'
                elseif counts and active >= maximum then
                  word = 'full'
                else
                  word = 'new'
                  begin()
                  redis.call('ZADD', KEYS[4], now, id)
                  if isActive == '0' and revoked == 0 then revoked = now end
                  if expires > 0 and not isGiven then redis.call('HSET', KEYS[i], 'expires_at', string.format('%.0f', expires)) end
                  if revoked > 0 then redis.call('HSET', KEYS[i], 'revoked_at', string.format('%.0f', revoked)) end
                  redis.call('HSET', KEYS[i], 'created_at', string.format('%.0f', made), unpack(ARGV, first, at - 1))
                  redis.call('ZADD', KEYS[2], made, id)
                  if counts then
                    redis.call('ZADD', KEYS[3], ends > 0 and string.format('%.0f', ends) or '+inf', id)
                    active = active + 1
                  end
                end
              end
              answer[#answer + 1] = word
            end
            return answer
            """)

    /// Step 3. KEYS: the organization, unfinished keys, the audit stream. ARGV: who; then of each key its local id, its id
    /// and its name. Answers `{'missing'}`, or of each key `done`, or `late` where it has been given up.
    package static let finishImport = RedisScript(
        name: "finish-import",
        source: """
            #!lua
            \(auditPrelude)
            \(unfinishedPrelude)
            local status = redis.call('HGET', KEYS[1], 'status')
            if not status or status == 'deleted' then return {'missing'} end
            local answer = {}
            for i = 2, #ARGV, 3 do
              if isBeingMade(KEYS[2], ARGV[i], \(Unfinished.patience)) then
                note(KEYS[3], ARGV[1], 'key.import', ARGV[i + 1], ARGV[i + 2])
                redis.call('ZREM', KEYS[2], ARGV[i])
                answer[#answer + 1] = 'done'
              else
                answer[#answer + 1] = 'late'
              end
            end
            return answer
            """)
}
