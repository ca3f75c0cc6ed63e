// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// Credentials that were seen revoked, numbered in the order in which they were; at most so many, the oldest are
/// forgotten.
struct Revocations {
    private let capacity: Int
    private var known: Set<CredentialHash> = []
    private var order = CircularBuffer<CredentialHash>()
    /// How many were noted ever.
    private(set) var count = 0

    init(capacity: Int) {
        precondition(capacity > 0, "Nothing could be remembered")
        self.capacity = capacity
    }

    func contains(_ hash: CredentialHash) -> Bool { known.contains(hash) }

    /// - Returns: whether it is news.
    mutating func note(_ hash: CredentialHash) -> Bool {
        guard known.insert(hash).inserted else { return false }
        if order.count == capacity { known.remove(order.removeFirst()) }
        order.append(hash)
        count += 1
        return true
    }

    /// Those noted after the first `count`, as far as they are remembered.
    func noted(after count: Int) -> [CredentialHash] { Array(order.suffix(self.count - count)) }
}
