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
        /// The organization's, under which it was read.
        let revision: [UInt8]
    }

    /// Of two loops' answers one may be heard so much later. What seems older than that was read by a clock that went back.
    private static let longestRace = 2_000_000

    /// Whether of two answers, by Redis' clock in microseconds, the one that is heard later may be the older one.
    static func mayPrecede(_ later: Int, _ earlier: Int) -> Bool { 0...longestRace ~= earlier - later }

    private struct Dated<Value: Sendable> {
        let value: Value
        /// Redis' clock, in microseconds.
        let readAt: Int

        func isNewer(than moment: Int) -> Bool { readAt != moment && LastKnown.mayPrecede(moment, readAt) }
    }

    private var keys: BoundedCache<CredentialHash, Dated<Key>>
    private var organizations: BoundedCache<String, Dated<OrganizationRecord>>

    /// - Parameter capacity: of keys and of organizations, each.
    init(capacity: Int) {
        keys = BoundedCache(capacity: capacity)
        organizations = BoundedCache(capacity: capacity)
    }

    mutating func note(_ organization: OrganizationRecord, of name: String, readAt: Int) {
        if let known = organizations.use(name), known.isNewer(than: readAt) { return }
        organizations.insert(Dated(value: organization, readAt: readAt), for: name)
    }

    mutating func note(_ key: Key, of hash: CredentialHash, readAt: Int) {
        if let known = keys.use(hash), known.isNewer(than: readAt) { return }
        keys.insert(Dated(value: key, readAt: readAt), for: hash)
    }

    /// It is no key.
    ///
    /// - Returns: whether it was one.
    mutating func forget(_ hash: CredentialHash) -> Bool {
        guard keys.use(hash) != nil else { return false }
        keys.remove(hash)
        return true
    }

    mutating func key(_ hash: CredentialHash) -> Key? { keys.use(hash)?.value }

    mutating func organization(_ name: String) -> OrganizationRecord? { organizations.use(name)?.value }
}
