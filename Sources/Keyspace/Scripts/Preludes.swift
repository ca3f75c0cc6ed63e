// SPDX-License-Identifier: Apache-2.0

/// The beginning of scripts that read records which others may have written.
///
/// `read(key, fields, long)` answers their values and how long they are; or, of a record beyond its bound, how long
/// that is and 0. What may be long is measured before it is copied.
let boundedReadPrelude = """
    local function read(key, fields, long)
      local length = 0
      for _, field in ipairs(long) do length = length + redis.call('HSTRLEN', key, field) end
      if length > \(RecordBounds.measured) then return length, 0 end
      local values = redis.call('HMGET', key, unpack(fields))
      length = 0
      for _, value in ipairs(values) do length = length + #(value or '') end
      if length > \(RecordBounds.record) then return length, 0 end
      return values, length
    end
    """

/// The beginning of scripts that ask whether a key works on: `works(record, now)`, in seconds since 1970.
let workingKeyPrelude = """
    local function works(record, now)
      local fields = redis.call('HMGET', record, 'is_active', 'revoked_at', 'expires_at')
      local function hasPassed(moment)
        moment = tonumber(moment or '') or 0
        return moment > 0 and moment <= now
      end
      return fields[1] == '1' and not hasPassed(fields[2]) and not hasPassed(fields[3])
    end
    """

/// The beginning of scripts that give a key its end: `ending(text, seconds, microseconds, longest)`.
///
/// The text is seconds since 1970, behind a `+` from now, or nothing. Whole seconds are rounded up: a key never lives shorter
/// than was asked. Where its organization lets keys live for so long at most (`longest`), one without an end gets that;
/// answers nil and `true` of one that would live longer.
let endingPrelude = """
    local function moment(text, seconds, microseconds)
      if string.sub(text or '', 1, 1) ~= '+' then return tonumber(text or '') end
      return seconds + tonumber(string.sub(text, 2)) + (microseconds > 0 and 1 or 0)
    end
    local function ending(text, seconds, microseconds, longest)
      local ends = moment(text, seconds, microseconds)
      longest = tonumber(longest or '') or 0
      if longest <= 0 then return ends end
      local last = moment('+' .. string.format('%.0f', longest), seconds, microseconds)
      if ends and ends > last then return nil, true end
      return ends or last
    end
    """

/// For how long a key may be unfinished, in seconds.
package enum Unfinished {
    /// It is given up after so long, and may be taken away.
    package static let patience = 3_600
    /// Nobody else begins to replace a key before so long.
    static let claim = 60
}

/// How keys replace others.
package enum Replacement {
    /// The longest time that a replaced key works on, in seconds.
    package static let longestGrace = 30 * 86_400
}

/// What is remembered of keys whose records are gone.
package enum EndedKeys {
    /// For so long, in seconds, an import doesn't bring one back: five years.
    package static let remembered = 5 * 366 * 86_400
}

/// The beginning of scripts about keys that are being made: `isBeingMade(set, id, seconds)`, whether an unfinished one
/// was begun less than so many seconds ago.
let unfinishedPrelude = """
    local function isBeingMade(set, id, seconds)
      local began = tonumber(redis.call('ZSCORE', set, id) or '')
      return began ~= nil and began > tonumber(redis.call('TIME')[1]) - tonumber(seconds)
    end
    """

/// The beginning of every script that changes an organization or one of its keys: `change(organization, revision)`.
///
/// The revision is random, so that none comes back after a failover that lost changes. The count is what tells of one:
/// it never goes back in a database that doesn't. A count that is no number is begun anew; it is in nobody's way.
let changePrelude = """
    local function change(organization, revision)
      local changes = tonumber(redis.call('HGET', organization, 'gen') or '') or 0
      redis.call('HSET', organization, 'rev', revision, 'gen', string.format('%.0f', changes + 1))
    end
    """

/// The beginning of every script that changes something: what it has done is said in the same breath.
///
/// `note(stream, who, what, target, detail)`; about ``AuditTrail/kept`` entries are kept.
let auditPrelude = """
    local function note(stream, who, what, target, detail)
      redis.call('XADD', stream, 'MAXLEN', '~', '\(AuditTrail.kept)', '*', 'who', who, 'what', what, 'target', target,
        'detail', detail)
    end
    """

/// How long audit trails grow.
package enum AuditTrail {
    /// Entries, about.
    package static let kept = 10_000
}
