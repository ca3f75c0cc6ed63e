// SPDX-License-Identifier: Apache-2.0

/// Gives a session to a subject, or takes it away. A script, so that a demoted primary refuses it. Answers `{now in µs}`.
///
/// - KEYS: the session.
/// - ARGV: the subject; empty to take it away.
let sessionScriptSource = """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    if ARGV[1] == '' then
      redis.call('DEL', KEYS[1])
    else
      redis.call('SET', KEYS[1], ARGV[1], 'EX', 86400)
    end
    return {time[1] * 1000000 + time[2]}
    """
