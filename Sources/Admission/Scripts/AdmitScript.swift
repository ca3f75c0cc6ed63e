// SPDX-License-Identifier: Apache-2.0

/// The one question of a warm request: does the record still stand, and do all buckets admit?
///
/// Answers `{now in µs, verdict, backlog in units of each bucket after the decision…}`; verdicts are `AdmitVerdict`.
/// Nothing is written but by an admission, and where a backlog had to be cut at the capacity (docs/design.md §4).
///
/// - KEYS: the organization's hash, if a revision is given; the session, if a subject is; then the buckets.
/// - ARGV: revision or empty; the key holds from and until, in µs; whether `now` is expected within them (1) or not (0);
///   the subject that the session has to belong to, or empty; then for each bucket: units leaking a microsecond, capacity and cost in units.
let admitScriptSource = """
    #!lua
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
    if first > #KEYS then return {now, 1} end
    local answer, leaks, costs, cut = {now, 1}, {}, {}, {}
    local states = redis.call('MGET', unpack(KEYS, first))
    for i = 1, #states do
      local leak, full, cost = tonumber(ARGV[i * 3 + 3]), tonumber(ARGV[i * 3 + 4]), tonumber(ARGV[i * 3 + 5])
      local owed = 0
      local empty, rest = string.match(states[i] or '', '^(%d+) ?(%d*)$')
      if empty then
        owed = (empty - now) * leak + (tonumber(rest) or 0)
        if owed < 0 then owed = 0 elseif owed > full then owed, cut[i] = full, true end
      end
      if cost > 0 and owed + cost > full then answer[2] = 0 end
      leaks[i], costs[i], answer[i + 2] = leak, cost, owed
    end
    local admitted = answer[2] == 1
    for i = 1, #states do
      if cut[i] or admitted and costs[i] > 0 then
        local owed, leak = answer[i + 2], leaks[i]
        if admitted then owed = owed + costs[i] end
        local rest = owed % leak
        local wait = (owed - rest) / leak
        local state = string.format(rest > 0 and '%.0f %.0f' or '%.0f', now + wait, rest)
        if rest > 0 then wait = wait + 1 end
        redis.call('SET', KEYS[first + i - 1], state, 'PX', string.format('%.0f', math.ceil(wait / 1000)))
        answer[i + 2] = owed
      end
    end
    return answer
    """

/// The second element of the script's answer.
enum AdmitVerdict: Int64 {
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

    /// Whether the buckets' backlogs come with it.
    var isAboutBuckets: Bool {
        switch self {
        case .denied, .admitted: true
        case .stale, .misjudged, .foreign: false
        }
    }
}
