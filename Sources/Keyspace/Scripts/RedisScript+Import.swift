// SPDX-License-Identifier: Apache-2.0

package import Redis

// Keys that come from elsewhere are written in the steps of one that is issued: records, pointers, and off the set of
// the unfinished. A key's id is given, or always the same for its hash, so what was interrupted is found again.

extension RedisScript {
    /// Step 1 of keys of one organization. KEYS: the organization, all keys, active keys, unfinished ones, those that ended
    /// long ago; then of each key its record, that of the key that replaced it, and that of the key that it replaced, as
    /// far as ARGV names them. ARGV: revision, the most active keys where the organization says nothing else; then of
    /// each: local id, hash, `1` where it is active else `0`, local ids of the key that replaced it and of the one that it
    /// replaced or '', when it was made, expires and was revoked (seconds since 1970, 0 for none), how many arguments
    /// follow, and those: fields and values.
    /// Answers `{'missing'}`, or the most active keys and of each key a word: `new`, `again` (begun before), `there`,
    /// `kept` (it is revoked here and stays so), `full`, `taken` (by another hash, or what is no record), `longer` (than the
    /// organization lets a key live). In place of `again` and `there` stands `{word, local id of the key that it
    /// replaced or ''}` where `revokeKey` is to be called for it.
    ///
    /// A record that is there isn't changed. The revision goes before the first change, as with every change of a key.
    ///
    /// A key in its time of grace isn't counted, as after `finishRotation`: the one that replaced it is, if it names it,
    /// so that each counted key has one that isn't at most. Whichever of both comes first is counted until the other is there.
    package static let importKeys = RedisScript(
        name: "import-keys",
        source: "#!lua\n"
            + importSource(
                ofNew: """
                    begin()
                    redis.call('ZADD', KEYS[4], now, id)
                    if isActive == '0' and revoked == 0 then revoked = now end
                    if expires > 0 and not isGiven then redis.call('HSET', record, 'expires_at', string.format('%.0f', expires)) end
                    if revoked > 0 then redis.call('HSET', record, 'revoked_at', string.format('%.0f', revoked)) end
                    redis.call('HSET', record, 'created_at', string.format('%.0f', made), unpack(ARGV, first, at - 1))
                    redis.call('ZADD', KEYS[2], made, id)
                    if takesPlace then
                      redis.call('ZREM', KEYS[3], predecessor)
                      active = active - 1
                    end
                    if counts then
                      redis.call('ZADD', KEYS[3], ends > 0 and string.format('%.0f', ends) or '+inf', id)
                      active = active + 1
                    end
                    """))

    /// What `importKeys` would answer where memory is full, by the same KEYS and ARGV: `later` of what is new. For a full
    /// memory is no reason to let a key live that is inactive elsewhere.
    package static let reviewImport = RedisScript(
        name: "review-import",
        source: "#!lua flags=allow-oom\n" + importSource(ofNew: "word = 'later'"))

    /// - Parameter ofNew: what is done with a key that isn't there.
    private static func importSource(ofNew: String) -> String {
        """
        \(changePrelude)
        \(endingPrelude)
        local organization = redis.call('HMGET', KEYS[1], 'rev', 'max_active_keys', 'status', 'max_lifetime')
        if not organization[1] or organization[3] == 'deleted' then return {'missing'} end
        local now = tonumber(redis.call('TIME')[1])
        redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
        local maximum = tonumber(organization[2]) or tonumber(ARGV[2])
        local active, isChanged = redis.call('ZCARD', KEYS[3]), false
        local function begin()
          if not isChanged then change(KEYS[1], ARGV[1]) end
          isChanged = true
        end
        local function isPast(moment) return moment > 0 and moment <= now end
        local function isGrace(ends) return ends > now and ends <= now + \(Replacement.longestGrace) end
        local answer, at, key = {maximum}, 3, 6
        while KEYS[key] do
          local id, hash, isActive, successor, predecessor, made, expires, revoked, count = unpack(ARGV, at, at + 8)
          local first = at + 9
          at = first + tonumber(count)
          local record, newer, older = KEYS[key], nil, nil
          key = key + 1
          if successor ~= '' then newer, key = KEYS[key], key + 1 end
          if predecessor ~= '' then older, key = KEYS[key], key + 1 end
          made, expires, revoked = tonumber(made), tonumber(expires), tonumber(revoked)
          if made == 0 or made > now then made = now end
          local works = isActive == '1' and not isPast(revoked)
          local found = redis.pcall('HMGET', record, 'key_hash', 'is_active', 'revoked_at', 'rotated_from')
          local isHash = not found.err
          if not isHash and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
          local word
          if not isHash or found[1] and found[1] ~= hash then
            word = 'taken'
          elseif found[1] then
            word = redis.call('ZSCORE', KEYS[4], id) and 'again' or 'there'
            local worksHere = found[2] == '1' and not isPast(tonumber(found[3] or '') or 0)
            if worksHere and not works then
              word = {word, found[4] or ''}
            elseif works and not worksHere and word == 'there' then
              word = 'kept'
            end
          elseif redis.call('ZSCORE', KEYS[5], hash) then
            word = works and 'kept' or 'there'
          else
            local ends, isLonger, isGiven = expires, false, expires > 0
            if works then
              ends, isLonger = ending(isGiven and expires or nil, now, 0, organization[4])
              ends = ends or 0
              expires = ends
            end
            if revoked > 0 and (ends == 0 or revoked < ends) then ends = revoked end
            local counts = works and (ends == 0 or ends > now)
            if counts and newer and isGrace(revoked) and redis.call('ZSCORE', KEYS[3], successor) then
              counts = redis.call('HGET', newer, 'rotated_from') ~= id
            end
            local takesPlace = false
            if counts and older and redis.call('ZSCORE', KEYS[3], predecessor) then
              local replaced = redis.call('HMGET', older, 'rotated_to', 'revoked_at')
              takesPlace = replaced[1] == id and isGrace(tonumber(replaced[2] or '') or 0)
            end
            if isLonger then
              word = 'longer'
            elseif counts and not takesPlace and active >= maximum then
              word = 'full'
            else
              word = 'new'
              \(ofNew)
            end
          end
          answer[#answer + 1] = word
        end
        return answer
        """
    }

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
