// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Octets

/// Records of keys and organizations as they were last read by any loop, for when Redis can't be asked.
///
/// Loops read by connections of their own, so what comes last may be older: Redis' clock tells which is newer.
struct LastKnown {
    struct Key {
        let pointer: RecordPointer
        let record: KeyRecord
    }

    private struct Dated<Value: Sendable> {
        let value: Value
        /// Redis' clock, in microseconds.
        let readAt: Int
    }

    private var keys: BoundedCache<CredentialHash, Dated<Key>>
    private var organizations: BoundedCache<String, Dated<OrganizationRecord>>

    /// - Parameter capacity: of keys and of organizations, each.
    init(capacity: Int) {
        keys = BoundedCache(capacity: capacity)
        organizations = BoundedCache(capacity: capacity)
    }

    mutating func note(_ organization: OrganizationRecord, of name: String, readAt: Int) {
        if let known = organizations.use(name), known.readAt > readAt { return }
        organizations.insert(Dated(value: organization, readAt: readAt), for: name)
    }

    mutating func note(_ record: KeyRecord, of hash: CredentialHash, at pointer: RecordPointer, readAt: Int) {
        if let known = keys.use(hash), known.readAt > readAt { return }
        keys.insert(Dated(value: Key(pointer: pointer, record: record), readAt: readAt), for: hash)
    }

    /// It is no key.
    mutating func forget(_ hash: CredentialHash) {
        keys.remove(hash)
    }

    mutating func key(_ hash: CredentialHash) -> Key? { keys.use(hash)?.value }

    mutating func organization(_ name: String) -> OrganizationRecord? { organizations.use(name)?.value }
}
