// SPDX-License-Identifier: Apache-2.0

/// What one policy has decided on one loop since it began.
package struct PolicyCounters: Sendable, Hashable {
    /// Requests it had room for, and that were admitted.
    package var allowed = 0
    /// Requests it had no room for.
    package var denied = 0
    /// Those allowed that left a fifth of the capacity, or less.
    package var nearLimit = 0
    /// Requests admitted that it would have denied if it were enforced on their subject.
    package var wouldHaveDenied = 0
    /// Requests admitted that it wouldn't have denied.
    package var wouldHaveAllowed = 0

    /// Requests let through uncharged while Redis was away.
    package var open = 0
    /// Requests admitted by this process' own buckets while Redis was away.
    package var local = 0
    /// Questions that were in vain, since the caller's record had changed meanwhile.
    package var stale = 0

    package init() {}

    /// - Parameter isDenied: the request was, by this or another policy.
    mutating func count(_ status: LimitStatus, of item: Charge.Item, isDenied: Bool) {
        if status.isDenied {
            denied += 1
        } else if !isDenied, item.cost > 0 {
            allowed += 1
            if status.isNearLimit { nearLimit += 1 }
        }
    }

    mutating func countShadow(isDenied: Bool) {
        if isDenied { wouldHaveDenied += 1 } else { wouldHaveAllowed += 1 }
    }

    package static func += (sum: inout PolicyCounters, other: PolicyCounters) {
        sum.allowed += other.allowed
        sum.denied += other.denied
        sum.nearLimit += other.nearLimit
        sum.wouldHaveDenied += other.wouldHaveDenied
        sum.wouldHaveAllowed += other.wouldHaveAllowed
        sum.open += other.open
        sum.local += other.local
        sum.stale += other.stale
    }
}
