// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How many keys that aren't known here may be looked up, so that junk costs Redis little (docs/design.md §4): first of each
/// address those that turn out to be none, then all together.
struct LookupBudget {
    /// A loop.
    static let perSecond = 200
    /// An address and loop, of keys that don't exist.
    static let failuresPerSecond = 20

    private var all = TokenBucket(Self.shape(perSecond))

    /// Takes one look-up.
    ///
    /// - Returns: false where there is none left.
    mutating func take(for address: AddressEntry, at now: NIODeadline) -> Bool {
        let time = now.microseconds
        let failures = Self.shape(Self.failuresPerSecond)
        guard failures.admits(cost: 1, backlog: address.failures.backlog(at: time)),
            all.take(1, at: time).isAdmitted
        else { return false }
        _ = address.failures.take(1, at: time)
        return true
    }

    /// The key was there: it is not the address' failure.
    static func found(for address: AddressEntry, at now: NIODeadline) {
        let time = now.microseconds
        address.failures.correct(1, to: 0, takenAt: time, at: time)
    }

    static func failureBucket() -> TokenBucket { TokenBucket(shape(failuresPerSecond)) }

    private static func shape(_ perSecond: Int) -> BucketShape {
        BucketShape(perSecond: perSecond)
    }
}

extension NIODeadline {
    /// Of a clock that keeps one origin.
    var microseconds: Int { Int(uptimeNanoseconds / 1_000) }
}

/// An address as this loop knows it.
final class AddressEntry {
    let buckets: BucketSet
    /// Look-ups of keys that turned out to be none.
    var failures = LookupBudget.failureBucket()

    init(_ buckets: BucketSet) {
        self.buckets = buckets
    }
}
