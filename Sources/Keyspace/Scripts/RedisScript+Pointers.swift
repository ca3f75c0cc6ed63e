// SPDX-License-Identifier: Apache-2.0

package import Redis

// Where a credential's record lies, alone in its hash slot. It is written after the record and taken away before it, so
// one that leads nowhere is lost data.

extension RedisScript {
    /// KEYS: the credential. Answers `{pointer}`.
    ///
    /// A script although it only reads: a primary that was demoted refuses it, where a plain GET would say of a new key
    /// that there is none.
    package static let findKey = RedisScript(
        name: "find-key",
        source: """
            #!lua flags=allow-oom
            return {redis.call('GET', KEYS[1])}
            """)

    /// KEYS: the credential. ARGV: the pointer. Answers `{1}`, or `{0}` where there is one.
    package static let placePointer = RedisScript(
        name: "place-pointer",
        source: """
            #!lua
            return {redis.call('SETNX', KEYS[1], ARGV[1])}
            """)

    /// KEYS: the credential. ARGV: the pointer it is taken away with. Answers `{1}` or `{0}`.
    package static let removePointer = RedisScript(
        name: "remove-pointer",
        source: """
            #!lua flags=allow-oom
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
            return {redis.call('DEL', KEYS[1])}
            """)
}
