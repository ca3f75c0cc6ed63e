// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Octets

/// How many changes of each organization were seen last. Fewer of them are there only where the database has gone back: a
/// failover lost the last of them, or a backup was restored.
///
/// About 100 octets an organization; of more than fit, the one longest unread is forgotten.
struct Generations {
    private struct Seen {
        let generation: Int
        /// Redis' clock, in microseconds.
        let readAt: Int
    }

    private var seen: BoundedCache<String, Seen>

    /// - Parameter capacity: of organizations.
    init(capacity: Int) {
        seen = BoundedCache(capacity: capacity)
    }

    /// Whether there are fewer than were seen. Nothing is noted.
    mutating func isBehind(_ generation: Int, of organization: String, readAt: Int) -> Bool {
        guard let last = seen.use(organization) else { return false }
        return generation < last.generation && !LastKnown.mayPrecede(readAt, last.readAt)
    }

    /// To be called with each record that is read.
    ///
    /// - Returns: how many changes are lost; nil where none are. Once: from then on it is compared with what is there now.
    mutating func note(_ generation: Int, of organization: String, readAt: Int) -> Int? {
        let last = seen.use(organization)
        if let last, generation < last.generation, LastKnown.mayPrecede(readAt, last.readAt) { return nil }
        seen.insert(Seen(generation: generation, readAt: readAt), for: organization)
        guard let last, generation < last.generation else { return nil }
        return last.generation - generation
    }
}
