// SPDX-License-Identifier: Apache-2.0

/// Where one bucket stands, as the next request would find it. Times are for a call of cost 1.
package struct Quota: Sendable, Equatable {
    /// Whose numbers are in force.
    package enum Source: String, Sendable, Equatable {
        case configuration, organization, key
    }

    package var policy: Policy
    /// In force, overrides included.
    package var limit: Limit
    package var source: Source
    /// Tokens left; of a limit of 0 none, ever.
    package var remaining: Int
    /// Until a call of cost 1 is admitted, 0 where it is now; nil where none ever is.
    package var nextCallMicroseconds: Int?
    /// Until nothing is owed; nil for a limit of 0.
    package var fullMicroseconds: Int?

    package var capacity: Int { limit.count > 0 ? limit.burst : 0 }

    /// - Parameter stored: what Redis holds of the bucket.
    init(_ policy: Policy, limit: Limit, source: Source, stored: String?, at nowMicroseconds: Int) {
        self.policy = policy
        self.limit = limit
        self.source = source
        // As in `Bucket`: without a shape nothing passes.
        guard limit.count > 0, let shape = try? BucketShape(limit) else {
            remaining = 0
            return
        }
        var bucket = TokenBucket(shape, stored: stored)
        let backlog = bucket.backlog(at: nowMicroseconds)
        remaining = shape.remaining(backlog: backlog)
        nextCallMicroseconds = shape.retryMicroseconds(backlog: backlog, cost: 1)
        fullMicroseconds = shape.resetMicroseconds(backlog: backlog)
    }
}
