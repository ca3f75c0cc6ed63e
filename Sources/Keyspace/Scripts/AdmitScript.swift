// SPDX-License-Identifier: Apache-2.0

/// The one question of a warm request: does the record still stand, and do all buckets admit?
///
/// Answers now in µs, the verdict and what is owed in each bucket, packed as doubles; verdicts are `AdmitVerdict`. Owed are units of a rate, at most
/// 2^53, tokens of a quota, or slots: after the decision, of a shadow bucket before it. Where the state of a rate expires
/// before all of it leaks at this rate, since others wrote it by another one, a number for each rate follows: µs until then, 0
/// where it doesn't.
///
/// It is carried out where memory is full, too (`allow-oom`): a state is written over the one before, takes 130 octets and is
/// gone once it has drained, and without it everybody would be refused for somebody else's data.
///
/// Nothing is written but by an admission, and where a state was written in the future: a clock that went back
/// (docs/decisions/0011-state-of-a-bucket.md).
///
/// With a revision, a session, two rates, a quota and a set of slots:
///
///     KEYS   1 organization | 2 session | 3 rate | 4 rate | 5 quota | 6 set of slots
///            '-- revision --'- subject -'------------- before + i -------------'
///
///     ARGV   1 revision
///            2 leak | capacity | token | cost      of each rate
///            3 from | until | within
///            4 subject
///            5 tokens | cost | begins | ends       of each quota
///            6 slots | takes                       of each set
///            7 name of the slot
///
/// - Numbers are little-endian doubles, one behind the other: Lua takes all of them from one string for about what each costs
///   that is an argument of its own. What is behind 2 is there where it, or one behind it, isn't empty.
/// - The organization is in KEYS if a revision is given, the session if a subject is: else what follows moves up.
/// - `from` and `until`: the key holds between them, in µs; `within`: whether `now` is expected there (1) or not (0).
/// - `subject`: that the session has to belong to.
/// - Of a rate: units leaking a microsecond, capacity in units, units a token, cost in units. Of a quota: tokens, cost,
///   the window's beginning and end in µs. Of a set of slots: how many there are, and 1 to take one, 0 to look.
/// - A negative cost is one in shadow: it denies nothing, and is charged if it fits.
///
/// A slot is a member of a sorted set, scored by when it lapses unless renewed: 30 s from now. On one server the keys
/// may be an organization's, an address' and everybody's; a cluster is asked about each apart (`paysBySlot`).
///
/// Two rates and nothing else, the commonest by far, are held in variables, all others in tables. Both ways are made of the same
/// text (``weighingSource``, ``chargingSource``). What costs Redis what is in docs/decisions/0016-a-lean-script.md.
let admitScriptSource = """
    #!lua flags=allow-oom
    local KEYS, ARGV, call, packed, unpacked = KEYS, ARGV, redis.call, struct.pack, struct.unpack
    local time = call('TIME')
    local now = time[1] * 1000000 + time[2]
    local before = 0
    if ARGV[1] ~= '' then
      if call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return packed('<dd', now, 2) end
      before = 1
    end
    if #ARGV > 2 and ARGV[3] ~= '' then
      local from, ends, within = unpacked('<ddd', ARGV[3])
      if (now >= from and now < ends) ~= (within == 1) then return packed('<dd', now, 3) end
    end
    if #ARGV > 3 and ARGV[4] ~= '' then
      local session = KEYS[before + 1]
      if call('GET', session) ~= ARGV[4] then return packed('<dd', now, 4) end
      if call('TTL', session) < 82800 then call('EXPIRE', session, 86400) end
      before = before + 1
    end
    local verdict, numbers, total = 1, ARGV[2], #KEYS - before
    local rates = #numbers / 32
    if total == 2 and rates == 2 then
      local key1, key2 = KEYS[before + 1], KEYS[before + 2]
      local states = call('MGET', key1, key2)
      local state1, leak1, full1, token1, cost1 = states[1], unpacked('<dddd', numbers)
      local state2, leak2, full2, token2, cost2 = states[2], unpacked('<dddd', numbers, 33)
      \(weighingSource.replacing("@", with: "1"))
      \(weighingSource.replacing("@", with: "2"))
      \(chargingSource.replacing("@", with: "1"))
      \(chargingSource.replacing("@", with: "2"))
      if expiry1 + expiry2 == 0 then return packed('<dddd', now, verdict, owed1, owed2) end
      return packed('<dddddd', now, verdict, owed1, owed2, expiry1, expiry2)
    end
    if total == 0 then return packed('<dd', now, 1) end
    local counted = rates + #(ARGV[5] or '') / 32
    local states = counted > 0 and call('MGET', unpack(KEYS, before + 1, before + counted))
    local answer, future, expiries = {now, 1}
    for i = 1, rates do
      local state, leak, full, token, cost = states[i], unpacked('<dddd', numbers, 32 * i - 31)
      \(weighingSource.replacing("@", with: ""))
      answer[i + 2] = owed
      if ahead then
        future = future or {}
        future[i] = true
      end
    end
    for i = rates + 1, total do
      local owed, full, cost
      if i <= counted then
        local begins, ends
        full, cost, begins, ends = unpacked('<dddd', ARGV[5], 32 * (i - rates) - 31)
        if now < begins or now >= ends then return packed('<dd', now, 5) end
        owed = tonumber(states[i] or '0') or 0
      else
        full, cost = unpacked('<dd', ARGV[6], 16 * (i - counted) - 15)
        owed = call('ZCOUNT', KEYS[before + i], string.format('(%.0f', now), '+inf')
      end
      if cost > 0 and owed + cost > full then verdict = 0 end
      answer[i + 2] = owed
    end
    answer[2] = verdict
    for i = 1, rates do
      local key, state, owed, ahead = KEYS[before + i], states[i], answer[i + 2], future and future[i]
      local leak, full, token, cost = unpacked('<dddd', numbers, 32 * i - 31)
      \(chargingSource.replacing("@", with: ""))
      answer[i + 2] = owed
      if expiry > 0 then
        expiries = expiries or {}
        expiries[i] = expiry
      end
    end
    for i = rates + 1, total do
      local key, owed = KEYS[before + i], answer[i + 2]
      if i <= counted then
        local full, cost, _, ends = unpacked('<dddd', ARGV[5], 32 * (i - rates) - 31)
        if verdict == 1 and (cost > 0 or cost < 0 and owed - cost <= full) then
          local used = cost > 0 and owed + cost or owed - cost
          call('SET', key, string.format('%.0f', used), 'PXAT', ends / 1000 + 3600000)
          if cost > 0 then answer[i + 2] = used end
        else
          answer[i + 2] = math.min(owed, 2^53)
        end
      else
        local slots, takes = unpacked('<dd', ARGV[6], 16 * (i - counted) - 15)
        local ends = now + 30000000
        if verdict == 1 and (takes > 0 or takes < 0 and owed < slots) then
          call('ZREMRANGEBYSCORE', key, '-inf', now)
          call('ZADD', key, ends, ARGV[7])
          call('PEXPIRE', key, 30000)
          if takes > 0 then answer[i + 2] = owed + 1 end
        elseif owed >= slots then
          for _, slot in ipairs(call('ZRANGEBYSCORE', key, string.format('(%.0f', ends), '+inf')) do
            call('ZADD', key, 'XX', ends, slot)
          end
        end
      end
    end
    for i = 1, expiries and rates or 0 do answer[total + 2 + i] = expiries[i] or 0 end
    return packed('<' .. string.rep('d', #answer), unpack(answer))
    """

/// What a rate at a place `@` owes, and whether its cost has room.
private let weighingSource = """
    \(owedSource)
    if cost@ > 0 and owed@ + cost@ > full@ then verdict = 0 end
    """

/// Charges a rate at a place `@`, if all had room: `owed@` is what is told of it then, and `expiry@` µs until its state expires, if
/// that is told as well, else 0.
private let chargingSource = """
    local expiry@ = 0
    if verdict == 1 and (cost@ > 0 or cost@ < 0 and owed@ - cost@ <= full@) then
      local debt = cost@ > 0 and owed@ + cost@ or owed@ - cost@
      local wait = debt / leak@
      call('SET', key@, packed('<ddd', debt, token@, now), 'PX', \(lastingSource))
      if cost@ > 0 then owed@ = debt end
    elseif owed@ > 0 then
      local wait = owed@ / leak@
      if ahead@ then
        call('SET', key@, string.sub(state@, 1, 16) .. packed('<d', now), 'PX', \(lastingSource))
      end
      local last = cost@ >= 0 and call('PEXPIRETIME', key@) or -1
      -- It is gone when its last millisecond is over.
      if last >= 0 and (last + 1) * 1000 - now < wait then
        expiry@ = math.min(math.max(1, (last + 1) * 1000 - now), 2^53)
      end
      owed@ = math.min(owed@, 2^53)
    end
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
