// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One policy for one subject, as this loop knows it: the name and numbers of the bucket in Redis, and what was last heard
/// of it. The bucket itself is in Redis.
final class Bucket {
    /// A refusal that needn't be asked for again.
    struct Refusal {
        /// Tokens; less might still be admitted.
        var cost: Int
        /// Until here no bucket can have room: the wait, counted from when the question was sent, at most a second.
        var holdsUntil: NIODeadline
        /// When to come back, counted from the answer, so that whoever waits it passes.
        var retryAt: NIODeadline
    }

    /// Index into the configuration's policies.
    let policy: Int
    let limit: Limit
    /// Nil where the limit is 0: there is no bucket, and nothing passes.
    let shape: BucketShape?
    /// Its key in Redis.
    let name: [UInt8]

    var refusal: Refusal?
    /// As it was after the last denial it had part in, by Redis' clock.
    var lastSeen: TokenBucket?
    /// Counts in this process while Redis is away (`on_failure: local`).
    var local: (limit: Limit, bucket: TokenBucket)?

    init(policy: Int, limit: Limit, name: [UInt8]) {
        self.policy = policy
        self.limit = limit
        self.name = name
        // What doesn't fit was refused when it was read; if not, nothing passes.
        self.shape = limit.count > 0 ? try? BucketShape(limit) : nil
    }

    func see(_ backlog: Int, at nowMicroseconds: Int) {
        guard let shape else { return }
        var bucket = lastSeen ?? TokenBucket(shape)
        bucket.charge(to: backlog, at: nowMicroseconds)
        lastSeen = bucket
    }

    /// Longest time a refusal is believed, so that a refund, a reset or a change shows soon.
    private static let longestRefusal = TimeAmount.seconds(1)

    func refuse(_ cost: Int, forMicroseconds wait: Int, askedAt: NIODeadline, answeredAt: NIODeadline) {
        let wait = TimeAmount.microseconds(Int64(wait))
        refusal = Refusal(
            cost: cost, holdsUntil: askedAt + min(wait, Self.longestRefusal), retryAt: answeredAt + wait)
    }

    /// Microseconds until `cost` may be asked for again; nil if it may now.
    func refusedMicroseconds(_ cost: Int, at now: NIODeadline) -> Int? {
        guard let refusal, cost >= refusal.cost else { return nil }
        guard refusal.holdsUntil > now else {
            self.refusal = nil
            return nil
        }
        return max(1, Int((refusal.retryAt - now).nanoseconds + 999) / 1_000)
    }
}

/// The buckets of one subject (an organization, a key, an address, or everybody): one for each policy of its kind, at the
/// policy's index.
struct BucketSet {
    private(set) var buckets: [Bucket?]

    init() {
        buckets = []
    }

    /// Makes them anew, but keeps those whose name and numbers are the same: with them what is known of their state.
    init(
        for subject: Policy.Subject, of policies: [Policy], named name: (Policy) -> String,
        keeping old: BucketSet? = nil,
        limit: (Policy) -> Limit
    ) {
        buckets = policies.indices.map { index in
            let policy = policies[index]
            guard policy.subject == subject else { return nil }
            let (name, limit) = (Array(name(policy).utf8), limit(policy))
            if let kept = old?[index], kept.name == name, kept.limit == limit { return kept }
            return Bucket(policy: index, limit: limit, name: name)
        }
    }

    subscript(policy: Int) -> Bucket? {
        buckets.isEmpty ? nil : buckets[policy]
    }
}
