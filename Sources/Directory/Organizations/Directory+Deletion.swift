// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
package import Limits
import Redis

/// An organization is taken away in steps, each of which leaves less: interrupted, it is done again from the beginning.
///
/// 1. It is marked deleted, with a new revision: from here on none of its keys is good, and none of its name can be made.
/// 2. Its keys: the pointer of each, then its record.
/// 3. Whatever else bears its name: buckets, slots, sessions, usage, audit.
/// 4. Its own record.
extension Directory {
    /// Keys a step.
    private static let step = "500"

    /// - Returns: how many keys it had.
    package func deleteOrganization(_ id: OrganizationID) async throws(DirectoryError) -> Int {
        let organization = names.organization(id.text)
        let marked = try await redis.answer(.markDeleted, keys: [organization], arguments: [Revision.random()])
        guard marked.first?.text == "marked" else { throw .organizationMissing(id.text) }
        let keys = try await deleteKeys(of: id)
        var owner: ServerAddress?
        repeat {
            owner = self.owner(of: organization)
            for primary in redis.primaries { try await deleteNames(of: organization, on: primary) }
        } while self.owner(of: organization) != owner
        _ = try await redis.answer(.deleteOrganization, keys: [organization], arguments: [])
        return keys
    }

    /// Of a cluster one primary has all that bears the name, and a second one while the hash slot moves there. Any other that
    /// can't be reached stands in nobody's way.
    private func deleteNames(of organization: String, on primary: RedisClient) async throws(DirectoryError) {
        var cursor: String? = "0"
        while let current = cursor {
            let page: (names: [String], next: String?)
            do throws(DirectoryError) {
                page = try await primary.scan(after: current, matching: "\(organization):*", step: "1000")
            } catch {
                guard error.isAbsence, let owner = owner(of: organization), owner != primary.address
                else { throw error }
                return
            }
            for name in page.names { try await delete(name) }
            cursor = page.next
        }
    }

    /// Nil on one server, and where nobody has its hash slot.
    private func owner(of organization: String) -> ServerAddress? {
        redis.cluster?.primary(of: HashSlot(of: organization))
    }

    private func deleteKeys(of id: OrganizationID) async throws(DirectoryError) -> Int {
        var count = 0
        while true {
            let locals = try await redis.answer("ZRANGE", names.keys(id.text), "0", Self.step).compactMap(\.text)
            guard !locals.isEmpty else { return count }
            for local in locals {
                let key = KeyID(organization: id, local: local)
                let record = try await redis.answer("HMGET", names.record(key), KeyField.hash.rawValue)
                if let hash = record.first?.text { try await redis.removePointer(names, to: key, from: hash) }
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

extension DirectoryError {
    /// Nobody answers, or none who could.
    fileprivate var isAbsence: Bool {
        if case .redis(let error) = self { [.unreachable, .primaryUnknown].contains(error.fault) } else { false }
    }
}
