// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

extension Charge.Item {
    /// Where its bucket stands after the decision; nil where there is none in Redis.
    ///
    /// - Parameters:
    ///   - owed: after the decision: units of a rate, tokens of a quota, slots.
    ///   - now: by the clock that quotas go by.
    ///   - expiry: µs until the state of a rate expires, if that is before all of it has leaked at this rate.
    func status(owed: Int, at now: Int, isDenied: Bool, expiry: Int? = nil) -> LimitStatus? {
        switch bucket.meter {
        case .nothing: return nil
        case .rate(let shape):
            var status = LimitStatus(
                policy: bucket.policy, allowance: bucket.allowance, shape: shape, cost: cost, backlog: owed,
                isDenied: isDenied)
            if let expiry { status.cut(to: Int64(expiry)) }
            return status
        case .quota(let quota):
            return LimitStatus(
                policy: bucket.policy, quota: quota, window: bucket.counter(of: quota, at: now).window, used: owed,
                at: now, isDenied: isDenied)
        case .slots(let slots):
            return LimitStatus(policy: bucket.policy, slots: slots, used: owed, isDenied: isDenied)
        }
    }
}

extension LimitStatus {
    init(
        policy: Int, allowance: Allowance, shape: BucketShape, cost: Int, backlog: Int, isDenied: Bool
    ) {
        self.init(
            policy: policy, capacity: shape.capacity, remaining: shape.remaining(backlog: backlog),
            resetAfterMicroseconds: Int64(shape.resetMicroseconds(backlog: backlog)),
            retryAfterMicroseconds: isDenied ? Int64(shape.retryMicroseconds(backlog: backlog, cost: cost)) : 0,
            isDenied: isDenied, allowance: allowance,
            nextTokenAfterMicroseconds: Int64(shape.retryMicroseconds(backlog: backlog, cost: 1)))
    }

    /// Nothing is owed any more once the state has expired.
    fileprivate mutating func cut(to microseconds: Int64) {
        resetAfterMicroseconds = min(resetAfterMicroseconds, microseconds)
        retryAfterMicroseconds = min(retryAfterMicroseconds, microseconds)
        nextTokenAfterMicroseconds = min(nextTokenAfterMicroseconds, microseconds)
    }

    init(policy: Int, slots: Int, used: Int, isDenied: Bool) {
        let retry = isDenied ? Int64(Bucket.slotRetryMicroseconds) : 0
        self.init(
            policy: policy, capacity: slots, remaining: max(0, slots - used), resetAfterMicroseconds: retry,
            retryAfterMicroseconds: retry, isDenied: isDenied, allowance: .concurrency(slots),
            nextTokenAfterMicroseconds: 0)
    }

    init(
        policy: Int, quota: CalendarQuota, window: CalendarWindow, used: Int, at now: Int, isDenied: Bool
    ) {
        let untilEnd = Int64(max(1, window.end - now))
        self.init(
            policy: policy, capacity: quota.count, remaining: max(0, quota.count - used),
            resetAfterMicroseconds: untilEnd, retryAfterMicroseconds: isDenied ? untilEnd : 0, isDenied: isDenied,
            allowance: .quota(quota), nextTokenAfterMicroseconds: untilEnd,
            windowMicroseconds: Int64(window.end - window.start))
    }

    /// Slots say nothing of time, so they speak only where they deny.
    package var speaksOfTime: Bool {
        if case .concurrency = allowance { isDenied } else { true }
    }

    /// No more than a fifth is left.
    var isNearLimit: Bool { remaining <= capacity / 5 }
}

extension LimitReport {
    /// Nil where nothing was asked.
    ///
    /// - Parameters:
    ///   - statuses: in any order.
    ///   - charge: what the request asked of the statuses' buckets, and perhaps of others.
    init?(at nowMicroseconds: Int, _ statuses: [LimitStatus], of charge: borrowing Charge) {
        guard !statuses.isEmpty else { return nil }
        var statuses = statuses
        // As a rule they are. The script goes by kinds first, and a cluster by who pays.
        if !LimitReport.isInListOrder(statuses) { statuses.sort { $0.policy < $1.policy } }
        self.init(
            nowMicroseconds: Int64(nowMicroseconds), statuses: statuses,
            speaking: LimitReport.speaking(statuses, of: charge))
    }

    private static func isInListOrder(_ statuses: [LimitStatus]) -> Bool {
        for index in statuses.indices.dropFirst() where statuses[index].policy < statuses[index - 1].policy {
            return false
        }
        return true
    }

    /// On a denial the longest wait, else the fewest whole calls left; of equals the first in list order.
    private static func speaking(_ statuses: [LimitStatus], of charge: Charge) -> Int {
        var best = 0
        for index in statuses.indices.dropFirst() {
            let (one, other) = (statuses[index], statuses[best])
            let isBetter =
                if one.isDenied || other.isDenied {
                    one.isDenied && (!other.isDenied || one.retryAfterMicroseconds > other.retryAfterMicroseconds)
                } else if one.speaksOfTime != other.speaksOfTime {
                    one.speaksOfTime
                } else {
                    charge.callsLeft(one) < charge.callsLeft(other)
                }
            if isBetter { best = index }
        }
        return best
    }

    /// Whoever denies speaks before all others.
    var isDenial: Bool { statuses[speaking].isDenied }

    var deniedPolicies: [Int] {
        // A flood comes here; by key paths it took 1 200 instructions.
        var policies: [Int] = []
        policies.reserveCapacity(statuses.count)
        for status in statuses where status.isDenied { policies.append(status.policy) }
        return policies
    }
}

extension Denial {
    /// By those policies of a report that deny.
    convenience init(by report: LimitReport, of principal: Principal?) {
        self.init(reason: .rateLimited(policies: report.deniedPolicies), principal: principal, limits: report)
    }
}
