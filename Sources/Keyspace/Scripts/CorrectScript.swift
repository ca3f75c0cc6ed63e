// SPDX-License-Identifier: Apache-2.0

/// Corrects afterwards what a request was charged: `TokenBucket.correct`, and the like of quotas. Answers `{now in µs}`.
///
/// More is added, up to the most that may be owed; what others have let be owed beyond that stays. Less is given back as far as
/// it can't have leaked meanwhile. A quota's window that is over stays as it is.
///
/// - KEYS: rates, then quotas.
/// - ARGV: how many rates there are; then
///   - for each rate: units leaking a microsecond, units a token, the most that may be owed, what was taken and what should have
///     been, in units, and when (µs);
///   - for each quota: the most that may be counted, what to add, which may be negative, and the window's end in µs: nothing
///     may be counted in it yet.
let correctScriptSource = """
    #!lua flags=allow-oom
    \(bucketSource)
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local rates = tonumber(ARGV[1])
    local at = 2
    for i = 1, #KEYS do
      local state = redis.call('GET', KEYS[i])
      if i <= rates then
        local leak, token, most, old, new, taken = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]),
          tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
        at = at + 6
        local before, ahead = owes(state, token, leak, now)
        local owed = before
        if new >= old then
          owed = math.max(before, math.min(before + new - old, most))
        elseif before < 2^53 then
          local gone = math.max(0, math.max(0, now - taken) * leak - new)
          owed = math.max(0, before - math.max(0, old - new - gone))
        end
        if owed == 0 then
          redis.call('DEL', KEYS[i])
        elseif owed ~= before then
          keep(KEYS[i], struct.pack('<ddd', owed, token, now), owed / leak)
        elseif ahead then
          renew(KEYS[i], state, now, owed / leak)
        end
      else
        local used, more, ends = tonumber(state or ''), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
        if used or more > 0 and now < ends then
          local count = string.format('%.0f', math.max(0, math.min((used or 0) + more, tonumber(ARGV[at]))))
          if used then
            redis.call('SET', KEYS[i], count, 'KEEPTTL')
          else
            redis.call('SET', KEYS[i], count, 'PXAT', string.format('%.0f', ends / 1000 + 3600000))
          end
        end
        at = at + 3
      end
    end
    return {now}
    """
