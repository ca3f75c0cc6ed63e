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
///
/// Its lock is taken where a record is read, which a request that finds its key does not, and in an outage. A request
/// compares one number.
package final class SeenKeys: Sendable {
    /// Credentials that are remembered as revoked.
    package static let mostRevocations = 50_000

    private struct State {
        var revocations = Revocations(capacity: SeenKeys.mostRevocations)
        /// Revocations of which a record knows nothing any more, as far as that was said.
        var forgotten: Set<CredentialHash> = []
        var lastKnown: LastKnown
    }

    private static let mostSaid = 256

    private let state: NIOLockedValueBox<State>
    private let revocations = Atomic(0)

    /// - Parameter capacity: of keys and organizations whose records are remembered, each.
    package init(capacity: Int = 50_000) {
        state = NIOLockedValueBox(State(lastKnown: LastKnown(capacity: capacity)))
    }

    // MARK: Revocations

    /// How many there were: another number tells a loop that it doesn't know of all.
    var revocationCount: Int { revocations.load(ordering: .acquiring) }

    func noteRevoked(_ hash: CredentialHash) {
        state.withLockedValue { state in
            guard state.revocations.note(hash) else { return }
            revocations.store(state.revocations.count, ordering: .releasing)
        }
    }

    func isRevoked(_ hash: CredentialHash) -> Bool {
        revocationCount > 0 && state.withLockedValue { $0.revocations.contains(hash) }
    }

    /// Those after the first `count`, and how many there are now.
    func revoked(after count: Int) -> (credentials: [CredentialHash], count: Int) {
        state.withLockedValue { ($0.revocations.noted(after: count), $0.revocations.count) }
    }

    /// A record says that the key holds.
    ///
    /// - Returns: whether that is still to be said.
    func noteForgotten(_ hash: CredentialHash) -> Bool {
        state.withLockedValue { state in
            state.forgotten.count < Self.mostSaid && state.forgotten.insert(hash).inserted
        }
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
            if let record { state.lastKnown.note(record, of: hash, at: pointer, readAt: readAt) }
        }
    }

    func forget(_ hash: CredentialHash) {
        state.withLockedValue { $0.lastKnown.forget(hash) }
    }

    /// A key's record and its organization's, as last read; of one seen revoked nothing.
    func last(_ hash: CredentialHash) -> (key: LastKnown.Key, organization: OrganizationRecord)? {
        state.withLockedValue { state in
            guard !state.revocations.contains(hash), let key = state.lastKnown.key(hash),
                let organization = state.lastKnown.organization(key.pointer.organization)
            else { return nil }
            return (key, organization)
        }
    }

    func last(organization name: String) -> OrganizationRecord? {
        state.withLockedValue { $0.lastKnown.organization(name) }
    }
}
