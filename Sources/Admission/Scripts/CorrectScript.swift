// SPDX-License-Identifier: Apache-2.0

/// Corrects afterwards what a request was charged: `TokenBucket.correct`, and the like of quotas. Answers `{now in µs}`.
///
/// More is added, up to the most that may be owed. Less is given back as far as it can't have leaked meanwhile; a quota's
/// window that is over stays as it is.
///
/// - KEYS: rates, then quotas.
/// - ARGV: how many rates there are; then
///   - for each rate: units leaking a microsecond, the most that may be owed, what was taken and what should have been, and
///     when (µs), in units;
///   - for each quota: the most that may be counted, what to add, which may be negative, and the window's end in µs: nothing
///     may be counted in it yet.
let correctScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local rates = tonumber(ARGV[1])
    local at = 2
    for i = 1, #KEYS do
      local state = redis.call('GET', KEYS[i])
      if i <= rates then
        local leak, most, old, new, taken = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]),
          tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
        at = at + 5
        local owed = 0
        local empty, rest = string.match(state or '', '^(%d+) ?(%d*)$')
        if empty then owed = math.min(math.max(0, (empty - now) * leak + (tonumber(rest) or 0)), most) end
        if new >= old then
          owed = math.min(owed + new - old, most)
        else
          local gone = math.max(0, math.max(0, now - taken) * leak - new)
          owed = math.max(0, owed - math.max(0, old - new - gone))
        end
        if owed == 0 then
          redis.call('DEL', KEYS[i])
        else
          rest = owed % leak
          local wait = (owed - rest) / leak
          state = string.format(rest > 0 and '%.0f %.0f' or '%.0f', now + wait, rest)
          if rest > 0 then wait = wait + 1 end
          redis.call('SET', KEYS[i], state, 'PX', string.format('%.0f', math.ceil(wait / 1000)))
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
