// SPDX-License-Identifier: Apache-2.0

import Limits

/// A bucket that one loop counts by itself while Redis is away (`on_failure: local`): its share of the allowance.
struct LocalBucket {
    private enum State {
        case rate(Limit, TokenBucket)
        case quota(CalendarQuota, CalendarWindow, used: Int)
        /// How many are held, the loop knows.
        case slots(Int)
    }

    private var state: State

    /// - Parameter cost: of the first call. One has to pass at a time, or none ever would.
    fileprivate init?(_ allowance: Allowance, _ share: Double, fitting cost: Int, at calendar: Int) {
        switch allowance {
        case .rate(let limit):
            let part = limit.share(share, fitting: cost)
            guard let shape = try? BucketShape(part) else { return nil }
            state = .rate(part, TokenBucket(shape))
        case .quota(let quota):
            let part = CalendarQuota(count: max(1, cost, Int(Double(quota.count) * share)), per: quota.period)
            state = .quota(part, quota.period.window(at: calendar), used: 0)
        case .concurrency(let slots):
            state = .slots(max(1, Int(Double(slots) * share)))
        }
    }

    /// With room for one call of this cost, and what was taken so far.
    fileprivate func fitting(_ cost: Int) -> LocalBucket {
        var wider = self
        switch state {
        case .rate(let limit, let bucket):
            guard cost > bucket.shape.capacity else { return self }
            let limit = Limit(count: limit.count, periodMicroseconds: limit.periodMicroseconds, burst: cost)
            guard let shape = try? BucketShape(limit) else { return self }
            wider.state = .rate(limit, TokenBucket(shape, state: bucket.state))
        case .quota(let quota, let window, let used):
            guard cost > quota.count else { return self }
            wider.state = .quota(CalendarQuota(count: cost, per: quota.period), window, used: used)
        case .slots: break
        }
        return wider
    }

    fileprivate func isOver(at calendar: Int) -> Bool {
        if case .quota(_, let window, _) = state { !window.contains(calendar) } else { false }
    }

    /// - Parameter held: slots that the loop holds in it.
    func hasRoom(for cost: Int, held: Int, at now: Int) -> Bool {
        switch state {
        case .rate(_, let bucket):
            var bucket = bucket
            return bucket.shape.admits(cost: cost, backlog: bucket.backlog(at: now))
        case .quota(let quota, _, let used): return cost == 0 || used + cost <= quota.count
        case .slots(let slots): return cost == 0 || held < slots
        }
    }

    mutating func take(_ cost: Int, at now: Int) {
        switch state {
        case .rate(let limit, var bucket):
            _ = bucket.take(cost, at: now)
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
                policy: policy, allowance: .rate(limit), shape: bucket.shape, cost: item.cost,
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
    /// - Parameters:
    ///   - cost: of the call to be made.
    ///   - calendar: the instant that quotas go by.
    func localShare(_ share: Double, fitting cost: Int, at calendar: Int) -> LocalBucket? {
        if let local, !local.isOver(at: calendar) { return local.fitting(cost) }
        return LocalBucket(allowance, share, fitting: cost, at: calendar)
    }
}

extension Limit {
    /// This limit at a part of its rate and burst; the burst holds at least one call of `cost`, or none would ever pass.
    func share(_ share: Double, fitting cost: Int) -> Limit {
        guard share > 0, share < 1 else { return self }
        let period = (Double(periodMicroseconds) / share).rounded(.up)
        return Limit(
            count: count, periodMicroseconds: Int(min(period, Double(Limit.largestNumber))),
            burst: max(1, cost, Int(Double(burst) * share)))
    }
}
