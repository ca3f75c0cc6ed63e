// SPDX-License-Identifier: Apache-2.0

/// The one question of a warm request: does the record still stand, and do all buckets admit?
///
/// Answers `{now in µs, verdict, what is owed in each bucket…}`; verdicts are `AdmitVerdict`. Owed are units of a rate, at most
/// 2^53, tokens of a quota, or slots: after the decision, of a shadow bucket before it. Where the state of a rate expires
/// before all of it leaks at this rate, since others wrote it by another one, a number for each rate follows: µs until then, 0
/// where it doesn't.
///
/// Nothing is written but by an admission, and where a state was written in the future: a clock that went back
/// (docs/decisions/0011-state-of-a-bucket.md).
///
/// With a revision, a session, two rates, a quota and a set of slots:
///
///     KEYS   1 organization | 2 session | 3 rate | 4 rate | 5 quota | 6 set of slots
///            '-- revision --'- subject -'------ first … first + counted - 1 -'
///
///     ARGV   1 revision | 2 from | 3 until | 4 within | 5 subject | 6 rates = 2 | 7 quotas = 1
///            8 leak | capacity | token | cost      of the first rate     at = 8
///           12 leak | capacity | token | cost      of the second         at + 4 a rate
///           16 tokens | cost | begins | ends       of the quota          at + 4 a quota
///           20 slots | takes                       of the set            at + 2 a set
///           22 name of the slot                    last, where there is a set
///
/// - The organization is in KEYS if a revision is given, the session if a subject is: else what follows moves up.
/// - `from` and `until`: the key holds between them, in µs; `within`: whether `now` is expected there (1) or not (0).
/// - `subject`: that the session has to belong to.
/// - Of a rate: units leaking a microsecond, capacity in units, units a token, cost in units. Of a quota: tokens, cost,
///   the window's beginning and end in µs. Of a set of slots: how many there are, and 1 to take one, 0 to look.
/// - A negative cost is one in shadow: it denies nothing, and is charged if it fits.
///
/// A slot is a member of a sorted set, scored by when it lapses unless renewed: 30 s from now. On one server the keys
/// may be an organization's, an address' and everybody's; a cluster is asked about each apart (`paysBySlot`).
let admitScriptSource = """
    #!lua
    \(bucketSource)
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local first = 1
    if ARGV[1] ~= '' then
      if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return {now, 2} end
      first = 2
    end
    if (now >= tonumber(ARGV[2]) and now < tonumber(ARGV[3])) ~= (ARGV[4] == '1') then return {now, 3} end
    if ARGV[5] ~= '' then
      local session = KEYS[first]
      if redis.call('GET', session) ~= ARGV[5] then return {now, 4} end
      if redis.call('TTL', session) < 82800 then redis.call('EXPIRE', session, 86400) end
      first = first + 1
    end
    local total = #KEYS - first + 1
    if total == 0 then return {now, 1} end
    local rates, quotas = tonumber(ARGV[6]), tonumber(ARGV[7])
    local counted = rates + quotas
    local answer, leaks, tokens, takes, told, debts, ahead, expiries = {now, 1}, {}, {}, {}, {}, {}, {}
    local states = counted > 0 and redis.call('MGET', unpack(KEYS, first, first + counted - 1))
    local at = 8
    for i = 1, total do
      local owed, full, cost = 0
      if i <= rates then
        leaks[i], full, tokens[i], cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]),
          tonumber(ARGV[at + 3])
        owed, ahead[i] = owes(states[i], tokens[i], leaks[i], now)
        debts[i] = owed
        at = at + 4
      elseif i <= counted then
        full, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
        if now < tonumber(ARGV[at + 2]) or now >= tonumber(ARGV[at + 3]) then return {now, 5} end
        at = at + 4
        owed = tonumber(states[i] or '0') or 0
      else
        full, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
        at = at + 2
        owed = redis.call('ZCOUNT', KEYS[first + i - 1], string.format('(%.0f', now), '+inf')
      end
      if cost < 0 then
        takes[i] = owed - cost <= full and -cost or 0
      else
        takes[i], told[i] = cost, true
        if cost > 0 and owed + cost > full then answer[2] = 0 end
      end
      answer[i + 2] = math.min(owed, 2^53)
    end
    local admitted = answer[2] == 1
    for i = 1, total do
      local key, owed, take = KEYS[first + i - 1], answer[i + 2], admitted and takes[i] or 0
      if i <= rates then
        owed = debts[i] + take
        if take > 0 then
          keep(key, struct.pack('<ddd', owed, tokens[i], now), owed / leaks[i])
          if told[i] then answer[i + 2] = owed end
        elseif owed > 0 then
          if ahead[i] then renew(key, states[i], now, owed / leaks[i]) end
          local last = told[i] and redis.call('PEXPIRETIME', key) or -1
          -- It is gone when its last millisecond is over.
          if last >= 0 and (last + 1) * 1000 - now < owed / leaks[i] then
            expiries = expiries or {}
            expiries[i] = math.min(math.max(1, (last + 1) * 1000 - now), 2^53)
          end
        end
      elseif i <= counted then
        if take > 0 then
          local ends = tonumber(ARGV[7 + 4 * i])
          redis.call('SET', key, string.format('%.0f', owed + take), 'PXAT', string.format('%.0f', ends / 1000 + 3600000))
          if told[i] then answer[i + 2] = owed + take end
        end
      else
        local ends = string.format('%.0f', now + 30000000)
        if take > 0 then
          redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
          redis.call('ZADD', key, ends, ARGV[#ARGV])
          redis.call('PEXPIRE', key, 30000)
          if told[i] then answer[i + 2] = owed + 1 end
        elseif owed >= tonumber(ARGV[8 + 4 * counted + 2 * (i - counted - 1)]) then
          for _, slot in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. ends, '+inf')) do
            redis.call('ZADD', key, 'XX', ends, slot)
          end
        end
      end
    end
    for i = 1, expiries and rates or 0 do answer[total + 2 + i] = expiries[i] or 0 end
    return answer
    """

/// The second element of the script's answer.
package enum AdmitVerdict: Int64 {
    /// A bucket lacks room; none was charged.
    case denied = 0
    /// All are charged.
    case admitted = 1
    /// The organization or one of its keys has changed; nothing was charged.
    case stale = 2
    /// The key is within its time where it was expected outside, or the other way round; nothing was charged.
    case misjudged = 3
    /// The session is somebody else's, or was never opened; nothing was charged.
    case foreign = 4
    /// A quota's window has ended, or has yet to begin; nothing was charged.
    case turned = 5

    /// Whether what the buckets owe comes with it.
    package var isAboutBuckets: Bool {
        switch self {
        case .denied, .admitted: true
        case .stale, .misjudged, .foreign, .turned: false
        }
    }
}

/// How long a slot lasts without being renewed, as the scripts have it.
package enum Slot {
    package static let lapseMicroseconds = 30_000_000
}
