// SPDX-License-Identifier: Apache-2.0

// Reads are scripts too: `#!lua` without `no-writes` makes a demoted primary refuse them (READONLY), where a plain GET
// would go on answering from what it had. With `allow-oom` they are carried out where somebody else's data fills the memory
// (docs/decisions/0023-what-must-not-be-forgotten.md).

/// Which record a credential names. Answers `{now in µs, pointer}`; of a pointer that is too long to be one, its
/// beginning.
///
/// That there is none counts only if the database is the one that knew it: `instance` is asked in the same write,
/// behind it.
///
/// - KEYS: `<namespace>:1:cred:<sha256hex>`.
let lookupScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    return {time[1] * 1000000 + time[2], redis.call('GETRANGE', KEYS[1], 0, \(RecordBounds.pointer - 1))}
    """

/// An organization and some of its keys as of one moment. Answers `{now in µs, organization's fields, key's fields…}`, in
/// the order of `OrganizationField.admitted` and `KeyField.admitted`; of one beyond its bound the length instead, after
/// which of an organization nothing follows. A reply ends with the record that fills it: the others have to be asked
/// for again.
///
/// - KEYS: the organization's hash, then the records.
let loadScriptSource = """
    #!lua flags=allow-oom
    \(boundedReadPrelude)
    local time = redis.call('TIME')
    local organization, total = read(KEYS[1], {\(OrganizationField.admitted.quoted)}, {\(OrganizationField.measured.quoted)})
    local answer = {time[1] * 1000000 + time[2], organization}
    if type(organization) == 'number' then return answer end
    local fields, long = {\(KeyField.admitted.quoted)}, {\(KeyField.measured.quoted)}
    for i = 2, #KEYS do
      if total > \(RecordBounds.reply - RecordBounds.record) then break end
      local record, length = read(KEYS[i], fields, long)
      answer[i + 1] = record
      total = total + length + 128
    end
    return answer
    """

/// The database's id, first named by a process that has never seen one. Answers `{now in µs, instance id}`, and of a cluster
/// `{now in µs, instance id, whether it is guarded}`.
///
/// - KEYS: `<namespace>:1:{:m}:meta`, or a cluster's guard; of a cluster's first one also `<namespace>:1:{:m}:guards`.
/// - ARGV: an id to set if there is none; empty from a process that knows one.
let instanceScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
    local now, id = time[1] * 1000000 + time[2], redis.call('GET', KEYS[1])
    if not KEYS[2] then return {now, id} end
    return {now, id, redis.call('EXISTS', KEYS[2])}
    """

/// The revision of all plans, and the numbers of one. Answers `{now in µs, revision, limits}`; of limits beyond their
/// bound, how long they are.
///
/// - KEYS: `<namespace>:1:{:m}:plans`, and perhaps a plan.
let planScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now, revision = time[1] * 1000000 + time[2], redis.call('GET', KEYS[1])
    if not KEYS[2] then return {now, revision} end
    local length = redis.call('HSTRLEN', KEYS[2], 'limits')
    if length > \(RecordBounds.rules) then return {now, revision, length} end
    return {now, revision, redis.call('HGET', KEYS[2], 'limits')}
    """
