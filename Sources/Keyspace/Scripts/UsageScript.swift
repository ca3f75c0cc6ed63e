// SPDX-License-Identifier: Apache-2.0

/// Adds to a day's counters, and tells the records when they were last used. Answers `{now in µs}`.
///
/// Neither an organization nor a record comes into being by it, and what is counted for one that is gone is dropped; nor does
/// the organization's revision change, as nothing that admission reads does.
///
/// - KEYS: the organization's hash, the day's counters, then the record of each key, which may be named more than once.
/// - ARGV: for how many seconds the counters are kept; then for each record when it was last used (seconds since 1970), the
///   beginning of its fields, `<local id>:<tool>`, and what to add: calls allowed, denied, tokens.
let usageScriptSource = """
    #!lua
    local time = redis.call('TIME')
    local answer = {time[1] * 1000000 + time[2]}
    if redis.call('EXISTS', KEYS[1]) == 0 then return answer end
    local kinds = {'a', 'd', 'c'}
    local at = 2
    for i = 3, #KEYS do
      if redis.call('EXISTS', KEYS[i]) == 1 then
        local last = tonumber(redis.call('HGET', KEYS[i], 'last_used_at') or '') or 0
        if tonumber(ARGV[at]) > last then redis.call('HSET', KEYS[i], 'last_used_at', ARGV[at]) end
        for kind = 1, 3 do
          local more = ARGV[at + 1 + kind]
          if more ~= '0' then redis.call('HINCRBY', KEYS[2], ARGV[at + 1] .. ':' .. kinds[kind], more) end
        end
      end
      at = at + 5
    end
    redis.call('EXPIRE', KEYS[2], ARGV[1])
    return answer
    """
