// SPDX-License-Identifier: Apache-2.0

/// Renews slots of one set. One that is gone, because nothing was heard of its holder for longer than it lasts, is taken
/// again if there is room, or else is lost. Where memory is full as well: what was admitted then must not end for it. Answers
/// `{now in µs, the lost ones…}`, by their place in ARGV from 0.
///
/// - KEYS: the set.
/// - ARGV: how many slots there are, then those held.
let renewScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local ends = string.format('%.0f', now + 30000000)
    local answer = {now}
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
    for i = 2, #ARGV do
      if redis.call('ZSCORE', KEYS[1], ARGV[i]) or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
        redis.call('ZADD', KEYS[1], ends, ARGV[i])
      else
        answer[#answer + 1] = i - 2
      end
    end
    redis.call('PEXPIRE', KEYS[1], 30000)
    return answer
    """

/// Gives slots back. Answers `{now in µs}`.
///
/// - KEYS: the sets that the slot was taken in.
/// - ARGV: the slot.
let releaseScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    for i = 1, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
    return {time[1] * 1000000 + time[2]}
    """
