// SPDX-License-Identifier: Apache-2.0

import Redis

/// An organization is taken away in steps, each of which leaves less: interrupted, it is done again from the beginning.
///
/// 1. It is marked deleted, with a new revision: from here on none of its keys is good, and none of its name can be made.
/// 2. Its keys: the pointer of each, then its record.
/// 3. Whatever else bears its name: buckets, slots, sessions, usage, audit.
/// 4. Its own record.
extension Directory {
    /// KEYS: the organization. ARGV: revision. Answers `{'missing'}` or `{'marked'}`.
    private static let markScript = RedisScript(
        name: "mark-deleted",
        source: """
            #!lua flags=allow-oom
            if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
            redis.call('HSET', KEYS[1], 'rev', ARGV[1])
            redis.call('HSET', KEYS[1], 'status', 'deleted')
            return {'marked'}
            """)

    /// KEYS: the credential. ARGV: the pointer it is taken away with. Answers `{1}` or `{0}`.
    private static let unpointScript = RedisScript(
        name: "remove-pointer",
        source: """
            #!lua flags=allow-oom
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
            return {redis.call('DEL', KEYS[1])}
            """)

    /// KEYS: the organization. Answers `{1}` or, where somebody made it live again, `{0}`.
    private static let unmakeScript = RedisScript(
        name: "delete-organization",
        source: """
            #!lua flags=allow-oom
            if redis.call('HGET', KEYS[1], 'status') ~= 'deleted' then return {0} end
            return {redis.call('DEL', KEYS[1])}
            """)

    /// Keys a step.
    private static let step = "500"

    /// - Returns: how many keys it had.
    package func deleteOrganization(_ id: OrganizationID) async throws(DirectoryError) -> Int {
        let organization = names.organization(id.text)
        let marked = try await redis.answer(Self.markScript, keys: [organization], arguments: [Self.revision()])
        guard marked.first?.text == "marked" else { throw .organizationMissing(id.text) }
        let keys = try await deleteKeys(of: id)
        var cursor = "0"
        repeat {
            let reply = try await redis.answer("SCAN", cursor, "MATCH", "\(organization):*", "COUNT", "1000")
            guard reply.count == 2, let next = reply[0].text, let found = reply[1].array else { throw .unexpectedReply }
            for name in found.compactMap(\.text) { try await delete(name) }
            cursor = next
        } while cursor != "0"
        _ = try await redis.answer(Self.unmakeScript, keys: [organization], arguments: [])
        return keys
    }

    private func deleteKeys(of id: OrganizationID) async throws(DirectoryError) -> Int {
        var count = 0
        while true {
            let locals = try await redis.answer("ZRANGE", names.keys(id.text), "0", Self.step).compactMap(\.text)
            guard !locals.isEmpty else { return count }
            for local in locals {
                let key = KeyID(organization: id, local: local)
                let record = try await redis.answer("HMGET", names.record(key), "key_hash")
                if let hash = record.first?.text {
                    _ = try await redis.answer(
                        Self.unpointScript, keys: ["\(names.root)cred:\(hash)"], arguments: ["\(id.text) \(local)"])
                }
                try await delete(names.record(key))
                do {
                    _ = try await redis.send("ZREM", names.keys(id.text), local)
                } catch {
                    throw .redis(error)
                }
                count += 1
            }
        }
    }

    private func delete(_ name: String) async throws(DirectoryError) {
        do {
            _ = try await redis.send("UNLINK", name)
        } catch {
            throw .redis(error)
        }
    }
}
