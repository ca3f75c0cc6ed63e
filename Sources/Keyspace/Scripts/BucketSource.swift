// SPDX-License-Identifier: Apache-2.0

/// What every script knows of a bucket's state: `BucketState` in Lua.
///
/// - `owes(state, token, leak, now)`: what is owed now, in units of which a token has `token` and `leak` leak a microsecond, and
///   whether the writing lies in the future. Whole and exact up to 2^53; beyond, and where a fraction of a token can't be
///   converted in whole numbers, never less than it is: by one part in 2^50 at most, and rounded up to a unit, which leaks
///   in a microsecond.
/// - `keep(key, state, wait)`: writes it, until `wait` microseconds are over.
/// - `renew(key, state, now, wait)`: the same debt, written now: of a state whose writing lies in the future.
let bucketSource = """
    local function owes(state, token, leak, now)
      if not state or #state < 24 then return 0 end
      local owed, unit, at = struct.unpack('<ddd', state)
      if not (owed >= 1 and owed <= 2^53 and unit >= 1 and unit <= 2^53 and at >= 0 and at <= 2^53) then return 0 end
      if unit ~= token then
        local rest = owed % unit
        local part = rest * token
        part = part <= 2^53 and part / unit or part / unit * (1 + 2^-51)
        owed = (owed - rest) / unit * token + math.ceil(part)
        if owed > 2^53 then owed = owed * (1 + 2^-51) end
      end
      if at > now then return owed, true end
      return math.max(0, owed - (now - at) * leak)
    end
    local function keep(key, state, wait)
      redis.call('SET', key, state, 'PX', string.format('%.0f', math.min(math.ceil(wait / 1000), 2^53)))
    end
    local function renew(key, state, now, wait)
      keep(key, string.sub(state, 1, 16) .. struct.pack('<d', now), wait)
    end
    """
