// SPDX-License-Identifier: Apache-2.0

// Reads are scripts too: `#!lua` without `no-writes` makes a demoted primary refuse them (READONLY), where a plain GET
// would go on answering from what it had.

/// Which record a credential names. Answers `{now in µs, instance id, pointer}`.
///
/// - KEYS: `<namespace>:1:meta`, `<namespace>:1:cred:<sha256hex>`.
let lookupScriptSource = """
    #!lua
    local time = redis.call('TIME')
    return {time[1] * 1000000 + time[2], redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}
    """

/// An organization and some of its keys as of one moment. Answers `{now in µs, organization's fields, key's fields…}`, in
/// the order of `OrganizationRecord` and `KeyRecord`.
///
/// - KEYS: the organization's hash, then the records.
let loadScriptSource = """
    #!lua
    local time = redis.call('TIME')
    local answer = {time[1] * 1000000 + time[2], redis.call('HMGET', KEYS[1], 'rev', 'status', 'limits', 'plan')}
    for i = 2, #KEYS do
      answer[i + 1] = redis.call('HMGET', KEYS[i], 'key_hash', 'is_active', 'subject', 'not_before', 'expires_at',
        'revoked_at', 'limits', 'tools', 'scopes', 'allow_from')
    end
    return answer
    """

/// The database's id, first named by a process that has never seen one. Answers `{now in µs, instance id}`.
///
/// - KEYS: `<namespace>:1:meta`.
/// - ARGV: an id to set if there is none; empty from a process that knows one.
let instanceScriptSource = """
    #!lua
    local time = redis.call('TIME')
    if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
    return {time[1] * 1000000 + time[2], redis.call('GET', KEYS[1])}
    """

/// The revision of all plans, and the numbers of one. Answers `{now in µs, revision, limits}`.
///
/// - KEYS: `<namespace>:1:plans`, and perhaps a plan.
let planScriptSource = """
    #!lua
    local time = redis.call('TIME')
    return {time[1] * 1000000 + time[2], redis.call('GET', KEYS[1]), KEYS[2] and redis.call('HGET', KEYS[2], 'limits')}
    """
