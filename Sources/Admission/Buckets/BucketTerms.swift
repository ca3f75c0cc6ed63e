// SPDX-License-Identifier: Apache-2.0

import Limits
import Octets

/// By which numbers a bucket counts: what a policy's buckets with one allowance have in common.
final class BucketTerms {
    /// How it is counted.
    enum Meter {
        /// An allowance of 0: there is nothing in Redis, and nothing passes.
        case nothing
        case rate(BucketShape)
        case quota(CalendarQuota)
        case slots(Int)
    }

    /// Index into the configuration's policies.
    let policy: Int
    let allowance: Allowance
    let meter: Meter
    /// The most of it that is ever there.
    let capacity: Int
    /// The handler says afterwards what a request has cost, so as much as a whole capacity may be owed beyond it.
    let allowsDebt: Bool

    init(policy: Int, of configured: Policy, _ allowance: Allowance) {
        self.policy = policy
        self.allowance = allowance
        allowsDebt = configured.costField != nil
        switch allowance {
        case _ where allowance.capacity == 0: (meter, capacity) = (.nothing, 0)
        case .rate(let limit):
            // What doesn't fit was refused when it was read; if not, nothing passes.
            let shape = try? BucketShape(limit)
            (meter, capacity) = shape.map { (.rate($0), $0.capacity) } ?? (.nothing, 0)
        case .quota(let quota): (meter, capacity) = (.quota(quota), quota.count)
        case .concurrency(let slots): (meter, capacity) = (.slots(slots), slots)
        }
    }
}

/// The terms under one configuration. Thousands of keys have buckets of the same, which as a rule are made once; those that
/// are dropped here live on in their buckets.
final class TermsBook {
    private struct Key: Hashable {
        let policy: Int
        let allowance: Allowance
    }

    /// Keys and organizations with numbers of their own may be many.
    private static let most = 256

    let policies: [Policy]
    private var known = BoundedCache<Key, BucketTerms>(capacity: most)

    init(_ policies: [Policy]) {
        self.policies = policies
    }

    func terms(of policy: Int, _ allowance: Allowance) -> BucketTerms {
        let key = Key(policy: policy, allowance: allowance)
        if let known = known.use(key) { return known }
        let made = BucketTerms(policy: policy, of: policies[policy], allowance)
        known.insert(made, for: key)
        return made
    }
}
