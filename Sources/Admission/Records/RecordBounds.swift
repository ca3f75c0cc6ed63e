// SPDX-License-Identifier: Apache-2.0

/// How much may stand in a record, in octets. A loop has one connection to Redis: a reply that is too long for it would
/// end it for everybody.
package enum RecordBounds {
    /// What limits, tools, scopes and networks of a record have together: whoever writes more is refused.
    package static let rules = 8_192
    /// A name, or whom a key is for: 100 characters.
    package static let label = 400
    /// All that a sidecar reads of one record: its rules, and what has one length or a short one.
    static let record = rules + 2_048
    /// Where a credential's record lies: a longer text names none.
    static let pointer = 128
    /// A reply of records: those beyond it are asked for again.
    static let reply = 524_288

    /// The fields that are rules, as Lua has them.
    static let ruleFields = "'limits', 'tools', 'scopes', 'allow_from'"
}

/// The beginning of scripts that read records which others may have written.
///
/// `read(key, fields, rules)` answers their values and how long they are; or, of a record beyond its bound, how long
/// that is and 0. What may be long is measured before it is copied.
let boundedReadPrelude = """
    local function read(key, fields, rules)
      local length = 0
      for _, field in ipairs(rules) do length = length + redis.call('HSTRLEN', key, field) end
      if length > \(RecordBounds.rules) then return length, 0 end
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
