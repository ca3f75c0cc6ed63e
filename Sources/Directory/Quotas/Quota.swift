// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

/// Where one policy stands for a subject, as the next request would find it. Times are for a call of cost 1.
package struct Quota: Sendable, Equatable {
    /// Whose numbers are in force.
    package enum Source: String, Sendable, Equatable {
        case configuration, plan, organization, key
    }

    package var policy: Policy
    /// In force, overrides included.
    package var allowance: Allowance
    package var source: Source
    /// False: it is counted, but denies this subject nothing (shadow).
    package var isEnforced: Bool
    /// Tokens or slots left; of an allowance of 0 none, ever.
    package var remaining: Int
    /// Until a call of cost 1 is admitted, 0 where it is now; nil where none ever is, or nobody knows.
    package var nextCallMicroseconds: Int?
    /// Until nothing is owed; nil for an allowance of 0, and for slots.
    package var fullMicroseconds: Int?

    package var capacity: Int { allowance.capacity }

    /// - Parameters:
    ///   - stored: what Redis holds of it: a bucket's state, a quota's count, or how many slots are taken.
    ///   - expiry: µs until that expires; nil where it doesn't.
    package init(
        _ policy: Policy, _ allowance: Allowance, source: Source, isEnforced: Bool, stored: RedisReply, expiry: Int?,
        at nowMicroseconds: Int
    ) {
        self.policy = policy
        self.allowance = allowance
        self.source = source
        self.isEnforced = isEnforced
        remaining = 0
        guard allowance.capacity > 0 else { return }
        switch allowance {
        case .rate(let limit):
            // As in `Bucket`: without a shape nothing passes.
            guard let shape = try? BucketShape(limit) else { return }
            var bucket = TokenBucket(shape, state: BucketState(stored))
            let backlog = bucket.backlog(at: nowMicroseconds)
            remaining = shape.remaining(backlog: backlog)
            nextCallMicroseconds = min(shape.retryMicroseconds(backlog: backlog, cost: 1), expiry ?? .max)
            fullMicroseconds = min(shape.resetMicroseconds(backlog: backlog), expiry ?? .max)
        case .quota(let quota):
            let used = stored.text.flatMap { Int($0) } ?? 0
            let untilEnd = quota.period.window(at: nowMicroseconds).end - nowMicroseconds
            remaining = max(0, quota.count - used)
            nextCallMicroseconds = remaining > 0 ? 0 : untilEnd
            fullMicroseconds = used > 0 ? untilEnd : 0
        case .concurrency(let slots):
            remaining = max(0, slots - (stored.text.flatMap { Int($0) } ?? 0))
            nextCallMicroseconds = remaining > 0 ? 0 : nil
        }
    }
}

extension BucketState {
    fileprivate init?(_ stored: RedisReply) {
        guard case .bytes(let packed) = stored else { return nil }
        self.init(packed: packed)
    }
}
