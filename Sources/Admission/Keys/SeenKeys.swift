// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOConcurrencyHelpers
import Synchronization

/// What this process has seen of the keys of one Redis, for all loops and over reloads: which were revoked, and how records
/// were last read.
///
/// 1. Revocation is final: a key that was seen revoked here is never served again, on whichever loop, in an outage, or by a
///    database that has gone back in time (a failover lost the last second, a backup was restored).
/// 2. When Redis can't be asked, every loop goes by what any of them has read last.
/// 3. An organization of which fewer changes are there than were seen tells that the database has gone back.
///
/// Its lock is taken where a record is read, which a request that finds its key does not, and in an outage. A request
/// compares one number.
package final class SeenKeys: Sendable {
    /// Credentials that are remembered as revoked.
    package static let mostRevocations = 50_000

    private struct State {
        var revocations = Revocations(capacity: SeenKeys.mostRevocations)
        /// Of a database that may turn out to be this one, by its id.
        var inherited: (database: [UInt8], revocations: Revocations, generations: Generations)?
        /// Revocations of which a record knows nothing any more, as far as that was said.
        var forgotten: Set<CredentialHash> = []
        var lastKnown: LastKnown
        var generations: Generations
    }

    private static let mostSaid = 256

    private let state: NIOLockedValueBox<State>
    private let announcements = Atomic(0)

    /// - Parameters:
    ///   - capacity: of keys and organizations whose records are remembered, each.
    ///   - former: of the Redis before, at another address: a replica that was promoted has the same database, by its id.
    package init(capacity: Int = 50_000, after former: (seen: SeenKeys, instance: Instance)? = nil) {
        var state = State(lastKnown: LastKnown(capacity: capacity), generations: Generations(capacity: capacity))
        if let former, let database = former.instance.id {
            state.inherited = former.seen.state.withLockedValue { (database, $0.revocations, $0.generations) }
        }
        self.state = NIOLockedValueBox(state)
    }

    /// The database's id is known, before anything else is read of it.
    func meet(_ database: [UInt8]) {
        state.withLockedValue { state in
            guard let (known, revocations, generations) = state.inherited else { return }
            state.inherited = nil
            guard known == database else { return }
            (state.revocations, state.generations) = (revocations, generations)
            announcements.store(revocations.count, ordering: .releasing)
        }
    }

    // MARK: Revocations

    /// How much loops were told to read anew: another number tells one that it doesn't know of all.
    var announcementCount: Int { announcements.load(ordering: .acquiring) }

    /// What came after the first `count`, and how much there is now.
    func announced(after count: Int) -> (credentials: [CredentialHash], count: Int) {
        state.withLockedValue { ($0.revocations.announced(after: count), $0.revocations.count) }
    }

    func note(_ revocation: Revocation, of hash: CredentialHash) {
        state.withLockedValue { state in
            guard state.revocations.note(revocation, of: hash) else { return }
            announcements.store(state.revocations.count, ordering: .releasing)
        }
    }

    func revocation(of hash: CredentialHash) -> Revocation? {
        announcementCount == 0 ? nil : state.withLockedValue { $0.revocations[hash] }
    }

    /// A record says that the key holds.
    ///
    /// - Returns: whether that is still to be said.
    func noteForgotten(_ hash: CredentialHash) -> Bool {
        state.withLockedValue { state in
            state.forgotten.count < Self.mostSaid && state.forgotten.insert(hash).inserted
        }
    }

    // MARK: Going back

    /// So many changes of an organization were read.
    ///
    /// - Parameter readAt: Redis' clock in microseconds.
    /// - Returns: how many are lost since; nil where none are. Whoever hears of them is the only one of the process.
    func note(generation: Int, of organization: String, readAt: Int) -> Int? {
        state.withLockedValue { $0.generations.note(generation, of: organization, readAt: readAt) }
    }

    /// Whether fewer changes of an organization were read than were seen before. Nothing is noted.
    func isBehind(generation: Int, of organization: String, readAt: Int) -> Bool {
        state.withLockedValue { $0.generations.isBehind(generation, of: organization, readAt: readAt) }
    }

    // MARK: Records

    /// An organization and one of its keys were read together.
    ///
    /// - Parameters:
    ///   - record: nil where nobody will ask for it.
    ///   - readAt: Redis' clock in microseconds.
    func note(
        _ organization: OrganizationRecord, _ record: KeyRecord?, of hash: CredentialHash, at pointer: RecordPointer,
        readAt: Int
    ) {
        state.withLockedValue { state in
            state.lastKnown.note(organization, of: pointer.organization, readAt: readAt)
            guard let record else { return }
            let key = LastKnown.Key(pointer: pointer, record: record, revision: organization.revision)
            state.lastKnown.note(key, of: hash, readAt: readAt)
        }
    }

    /// It is no key, or none any more: no loop is to go by what it remembers of it.
    func forget(_ hash: CredentialHash) {
        state.withLockedValue { state in
            guard state.lastKnown.forget(hash) else { return }
            state.revocations.announce(hash)
            announcements.store(state.revocations.count, ordering: .releasing)
        }
    }

    /// A key's record and its organization's, as last read.
    func last(_ hash: CredentialHash) -> (key: LastKnown.Key, organization: OrganizationRecord)? {
        state.withLockedValue { state in
            guard let key = state.lastKnown.key(hash),
                let organization = state.lastKnown.organization(key.pointer.organization)
            else { return nil }
            return (key, organization)
        }
    }

    func last(organization name: String) -> OrganizationRecord? {
        state.withLockedValue { $0.lastKnown.organization(name) }
    }
}
