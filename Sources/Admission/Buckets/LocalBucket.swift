// SPDX-License-Identifier: Apache-2.0

import Limits

/// A bucket that one loop counts by itself while Redis is away (`on_failure: local`): its share of the allowance.
///
/// A call that costs more than the whole share passes where nothing is owed, or it never would, and is owed in full: others
/// wait until it has leaked away, or for the next window.
struct LocalBucket {
    private enum State {
        case rate(Limit, TokenBucket)
        case quota(CalendarQuota, CalendarWindow, used: Int)
        /// How many are held, the loop knows.
        case slots(Int)
    }

    private var state: State

    fileprivate init?(_ allowance: Allowance, _ share: Double, at calendar: Int) {
        switch allowance {
        case .rate(let limit):
            let part = limit.share(share)
            guard let shape = try? BucketShape(part) else { return nil }
            state = .rate(part, TokenBucket(shape))
        case .quota(let quota):
            let part = CalendarQuota(count: max(1, Int(Double(quota.count) * share)), per: quota.period)
            state = .quota(part, quota.period.window(at: calendar), used: 0)
        case .concurrency(let slots):
            state = .slots(max(1, Int(Double(slots) * share)))
        }
    }

    fileprivate func isOver(at calendar: Int) -> Bool {
        if case .quota(_, let window, _) = state { !window.contains(calendar) } else { false }
    }

    /// - Parameter held: slots that the loop holds in it.
    func hasRoom(for cost: Int, held: Int, at now: Int) -> Bool {
        switch state {
        case .rate(_, let bucket):
            var bucket = bucket
            let backlog = bucket.backlog(at: now)
            return bucket.shape.admits(cost: min(cost, bucket.shape.capacity), backlog: backlog)
        case .quota(let quota, _, let used): return cost == 0 || used + min(cost, quota.count) <= quota.count
        case .slots(let slots): return cost == 0 || held < slots
        }
    }

    mutating func take(_ cost: Int, at now: Int) {
        switch state {
        case .rate(let limit, var bucket):
            guard cost > 0 else { return }
            let owed = bucket.backlog(at: now) + bucket.shape.units(ofCost: cost)
            bucket.charge(to: min(owed, Limit.largestNumber), at: now)
            state = .rate(limit, bucket)
        case .quota(let quota, let window, let used): state = .quota(quota, window, used: used + cost)
        case .slots: break
        }
    }

    func status(of item: Charge.Item, held: Int, at now: Int, calendar: Int, isDenied: Bool) -> LimitStatus {
        let policy = item.bucket.policy
        switch state {
        case .rate(let limit, var bucket):
            return LimitStatus(
                policy: policy, allowance: .rate(limit), shape: bucket.shape,
                cost: min(item.cost, bucket.shape.capacity),
                backlog: bucket.backlog(at: now), isDenied: isDenied)
        case .quota(let quota, let window, let used):
            return LimitStatus(
                policy: policy, quota: quota, window: window, used: used, at: calendar, isDenied: isDenied)
        case .slots(let slots): return LimitStatus(policy: policy, slots: slots, used: held, isDenied: isDenied)
        }
    }
}

extension Bucket {
    /// This loop's share, as it stands; nil where there is none to count.
    ///
    /// - Parameter calendar: the instant that quotas go by.
    func localShare(_ share: Double, at calendar: Int) -> LocalBucket? {
        if let local, !local.isOver(at: calendar) { return local }
        return LocalBucket(allowance, share, at: calendar)
    }
}

extension Limit {
    /// This limit at a part of its rate and burst, which is at least 1.
    func share(_ share: Double) -> Limit {
        guard share > 0, share < 1 else { return self }
        let period = (Double(periodMicroseconds) / share).rounded(.up)
        return Limit(
            count: count, periodMicroseconds: Int(min(period, Double(Limit.largestNumber))),
            burst: max(1, Int(Double(burst) * share)))
    }
}
