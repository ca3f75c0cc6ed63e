// SPDX-License-Identifier: Apache-2.0

/// What every script knows of a bucket's state: `BucketState` in Lua.
///
/// A function that is made anew for each call, and called for each bucket, costs Redis more than its body does. What has to be
/// cheap takes the text of the body, with names that end in `@`, which stands for the place of a bucket.
///
/// - `owes(state, token, leak, now)`: what is owed now, and whether the writing lies in the future (``owedSource``).
/// - `keep(key, state, wait)`: writes it, until `wait` microseconds are over (``lastingSource``).
/// - `renew(key, state, now, wait)`: the same debt, written now: of a state whose writing lies in the future.
let bucketSource = """
    local unpacked = struct.unpack
    local function owes(state, token, leak, now)
      \(owedSource.replacing("@", with: ""))
      return owed, ahead
    end
    local function keep(key, state, wait)
      redis.call('SET', key, state, 'PX', \(lastingSource))
    end
    local function renew(key, state, now, wait)
      keep(key, string.sub(state, 1, 16) .. struct.pack('<d', now), wait)
    end
    """

/// Sets `owed@` and `ahead@` by `unpacked`, which is `struct.unpack`: what is owed now, in units of which a token has `token@`
/// and `leak@` leak a microsecond, and whether the writing lies in the future.
///
/// Whole and exact up to 2^53; beyond, and where a fraction of a token can't be converted in whole numbers, never less than it
/// is: by one part in 2^50 at most, and rounded up to a unit, which leaks in a microsecond.
let owedSource = """
    local owed@, ahead@ = 0, false
    if state@ and #state@ >= 24 then
      local debt, unit, at = unpacked('<ddd', state@)
      if debt >= 1 and debt <= 2^53 and unit >= 1 and unit <= 2^53 and at >= 0 and at <= 2^53 then
        if unit ~= token@ then
          local rest = debt % unit
          local part = rest * token@
          part = part <= 2^53 and part / unit or part / unit * (1 + 2^-51)
          debt = (debt - rest) / unit * token@ + math.ceil(part)
          if debt > 2^53 then debt = debt * (1 + 2^-51) end
        end
        ahead@ = at > now
        if not ahead@ then debt = debt - (now - at) * leak@ end
        if debt > 0 then owed@ = debt end
      end
    end
    """

/// Milliseconds until `wait` microseconds are over: rounded up, as `%` does where it takes from a negative number. As text by
/// `%d`, for less than what Redis makes one of a number.
let lastingSource = "string.format('%d', wait < 2^53 * 1000 and wait / 1000 + -wait / 1000 % 1 or 2^53)"
