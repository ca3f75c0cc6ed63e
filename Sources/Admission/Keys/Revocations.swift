// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore

/// That a key was seen revoked.
struct Revocation: Equatable {
    /// From when on, in µs of Redis' clock: 0 where the record says that it is, else the end of its time of grace.
    let from: Int
    /// When that was seen, in µs of Redis' clock.
    let seenAt: Int

    /// Whether a record knows nothing of it any more. A grace that is still to end at the same time, or sooner, is judged by
    /// the clock alone, which may have been ahead.
    func isForgotten(by record: KeyRecord) -> Bool {
        guard record.isActive else { return false }
        return from == 0 || !record.endsByRevocation || record.validUntil > from
    }
}

/// Revocations by credential, and what loops have to read anew, numbered in the order in which it happened; at most so many of
/// both, the oldest are forgotten.
struct Revocations {
    private let capacity: Int
    private var known: [CredentialHash: Revocation] = [:]
    /// Of `known`, oldest first.
    private var order = CircularBuffer<CredentialHash>()
    private var news = CircularBuffer<CredentialHash>()
    /// How much news there was ever.
    private(set) var count = 0

    init(capacity: Int) {
        precondition(capacity > 0, "Nothing could be remembered")
        self.capacity = capacity
    }

    subscript(hash: CredentialHash) -> Revocation? { known[hash] }

    /// - Returns: whether it is news: the first one, or one by the record after one by the clock.
    mutating func note(_ revocation: Revocation, of hash: CredentialHash) -> Bool {
        if let old = known[hash] {
            guard revocation.from < old.from else { return false }
        } else {
            if order.count == capacity { known[order.removeFirst()] = nil }
            order.append(hash)
        }
        known[hash] = revocation
        announce(hash)
        return true
    }

    /// Whatever loops remember of it is to be read anew.
    mutating func announce(_ hash: CredentialHash) {
        if news.count == capacity { news.removeFirst() }
        news.append(hash)
        count += 1
    }

    /// What came after the first `count`, as far as it is remembered.
    func announced(after count: Int) -> [CredentialHash] { Array(news.suffix(self.count - count)) }
}
