// SPDX-License-Identifier: Apache-2.0

extension LimitStatus {
    /// Where a bucket stands after the decision.
    ///
    /// - Parameter backlog: after the decision, in the shape's units.
    init(
        policy: Int, limit: Limit, shape: BucketShape, cost: Int, backlog: Int, isDenied: Bool
    ) {
        self.init(
            policy: policy, capacity: shape.capacity, remaining: shape.remaining(backlog: backlog),
            resetAfterMicroseconds: Int64(shape.resetMicroseconds(backlog: backlog)),
            retryAfterMicroseconds: isDenied ? Int64(shape.retryMicroseconds(backlog: backlog, cost: cost)) : 0,
            isDenied: isDenied, limit: limit,
            nextTokenAfterMicroseconds: Int64(shape.retryMicroseconds(backlog: backlog, cost: 1)))
    }
}

extension LimitReport {
    /// Nil where nothing was asked.
    ///
    /// - Parameter charge: what the request asked of the statuses' buckets, and perhaps of others.
    init?(at nowMicroseconds: Int, _ statuses: [LimitStatus], of charge: Charge) {
        guard !statuses.isEmpty else { return nil }
        self.init(
            nowMicroseconds: Int64(nowMicroseconds), statuses: statuses,
            speaking: LimitReport.speaking(statuses, of: charge))
    }

    /// On a denial the longest wait, else the fewest whole calls left; of equals the first in list order.
    private static func speaking(_ statuses: [LimitStatus], of charge: Charge) -> Int {
        var best = 0
        for index in statuses.indices.dropFirst() {
            let (one, other) = (statuses[index], statuses[best])
            let isBetter =
                if one.isDenied || other.isDenied {
                    one.isDenied && (!other.isDenied || one.retryAfterMicroseconds > other.retryAfterMicroseconds)
                } else {
                    charge.callsLeft(one) < charge.callsLeft(other)
                }
            if isBetter { best = index }
        }
        return best
    }

    var deniedPolicies: [Int] {
        statuses.filter(\.isDenied).map(\.policy)
    }
}
