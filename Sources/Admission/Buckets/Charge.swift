// SPDX-License-Identifier: Apache-2.0

/// What one request asks of which buckets, in the list order of their policies.
struct Charge {
    struct Item {
        let bucket: Bucket
        let shape: BucketShape
        /// Tokens; 0 only looks.
        let cost: Int
    }

    private(set) var items: [Item] = []
    /// The first policy that can never admit this cost, whatever the wait.
    private(set) var impossible: (policy: Int, cost: Int, capacity: Int)?

    /// What a request pays.
    enum Price {
        /// What it costs by each policy.
        case full
        /// It isn't throttled.
        case nothing
        /// A 403 takes one token of each bucket there is (docs/design.md §2, "Who pays").
        case one
    }

    /// - Parameter buckets: with what the request costs in each.
    init(_ buckets: [(bucket: Bucket, cost: Int)], _ price: Price) {
        for (bucket, fullCost) in buckets {
            let cost =
                switch price {
                case .full: fullCost
                case .nothing: 0
                case .one: bucket.shape == nil ? 0 : 1
                }
            let capacity = bucket.shape?.capacity ?? 0
            if cost > capacity, impossible == nil { impossible = (bucket.policy, cost, capacity) }
            if let shape = bucket.shape { items.append(Item(bucket: bucket, shape: shape, cost: cost)) }
        }
        guard impossible != nil else { return }
        items = items.map { Item(bucket: $0.bucket, shape: $0.shape, cost: 1) }
    }

    /// Whole calls like this one that a bucket has room for; a look counts as a call of cost 1.
    func callsLeft(_ status: LimitStatus) -> Int {
        let cost = items.first { $0.bucket.policy == status.policy }?.cost ?? 1
        return status.remaining / max(1, cost)
    }
}
