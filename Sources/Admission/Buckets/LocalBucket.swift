// SPDX-License-Identifier: Apache-2.0

import Limits
import Redis

/// A bucket that one loop counts by itself while Redis is away (`on_failure: local`): its share of the allowance.
///
/// 1. It begins as full as the bucket in Redis was when it was last heard of, and what has leaked since is gone.
/// 2. What it gives beside Redis is owed there when Redis is back, or at the latest when Redis is asked for the bucket again:
///    ``Bucket/settle(at:calendar:)``. So nobody has the one and the other.
/// 3. A call that costs more than the whole share passes where nothing is owed, or it never would, and is owed in full: others
///    wait until it has leaked away, or for the next window. A share is one call at least.
struct LocalBucket {
    /// What is owed here, and what of it is owed in Redis as well, as far as is known.
    private enum State {
        case rate(Limit, here: TokenBucket, inRedis: TokenBucket)
        case quota(CalendarQuota, CalendarWindow, here: Int, inRedis: Int)
        /// How many are held, the loop knows.
        case slots(Int)
    }

    private var state: State

    /// - Parameters:
    ///   - owed: in Redis at `calendar`, by the units of the whole bucket.
    ///   - now: by the loop's clock, `calendar` by Redis', both in µs.
    fileprivate init?(_ bucket: Bucket, _ share: Double, owed: Int, at now: Int, calendar: Int) {
        switch (bucket.allowance, bucket.meter) {
        case (.rate(let limit), .rate(let whole)):
            let part = limit.share(share)
            guard let shape = try? BucketShape(part) else { return nil }
            var begun = TokenBucket(shape)
            // As full as the whole one is.
            let units = Double(owed) / Double(whole.capacityUnits) * Double(shape.capacityUnits)
            if owed > 0 { begun.charge(to: Int(min(units.rounded(.up), Double(Limit.largestNumber))), at: now) }
            state = .rate(part, here: begun, inRedis: begun)
        case (.quota(let quota), _):
            let part = CalendarQuota(count: max(1, Int(Double(quota.count) * share)), per: quota.period)
            let used = min(part.count, Int((Double(owed) * min(1, share)).rounded(.up)))
            state = .quota(part, quota.period.window(at: calendar), here: used, inRedis: used)
        case (.concurrency(let slots), _):
            state = .slots(max(1, Int(Double(slots) * share)))
        case (.rate, _): return nil
        }
    }

    fileprivate func isOver(at calendar: Int) -> Bool {
        if case .quota(_, let window, _, _) = state { !window.contains(calendar) } else { false }
    }

    /// - Parameter held: slots that the loop holds in it.
    func hasRoom(for cost: Int, held: Int, at now: Int) -> Bool {
        switch state {
        case .rate(_, var here, _):
            let backlog = here.backlog(at: now)
            return here.shape.admits(cost: min(cost, here.shape.capacity), backlog: backlog)
        case .quota(let quota, _, let used, _): return cost == 0 || used + min(cost, quota.count) <= quota.count
        case .slots(let slots): return cost == 0 || held < slots
        }
    }

    /// - Parameter isInRedis: it may have been taken there too, and is not to be owed twice.
    fileprivate mutating func take(_ cost: Int, at now: Int, isInRedis: Bool) {
        guard cost > 0 else { return }
        switch state {
        case .rate(let limit, var here, var inRedis):
            here.owe(cost, at: now)
            if isInRedis { inRedis.owe(cost, at: now) }
            state = .rate(limit, here: here, inRedis: inRedis)
        case .quota(let quota, let window, let used, let inRedis):
            state = .quota(quota, window, here: used + cost, inRedis: inRedis + (isInRedis ? cost : 0))
        case .slots: break
        }
    }

    /// What is owed here alone, by the units of the whole bucket.
    fileprivate func owedHereAlone(_ bucket: Bucket, at now: Int, calendar: Int) -> Int {
        switch (state, bucket.meter) {
        case (.rate(_, var here, var inRedis), .rate(let whole)):
            let units = max(0, here.backlog(at: now) - inRedis.backlog(at: now))
            let tokens = Double(units) / Double(here.shape.unitsPerToken)
            return Int(min((tokens * Double(whole.unitsPerToken)).rounded(.up), Double(Limit.largestNumber)))
        case (.quota(_, let window, let here, let inRedis), _): return window.contains(calendar) ? here - inRedis : 0
        case (.slots, _), (.rate, _): return 0
        }
    }

    func status(of item: Charge.Item, held: Int, at now: Int, calendar: Int, isDenied: Bool) -> LimitStatus {
        let policy = item.bucket.policy
        switch state {
        case .rate(let limit, var here, _):
            return LimitStatus(
                policy: policy, allowance: .rate(limit), shape: here.shape, cost: min(item.cost, here.shape.capacity),
                backlog: here.backlog(at: now), isDenied: isDenied)
        case .quota(let quota, let window, let used, _):
            return LimitStatus(
                policy: policy, quota: quota, window: window, used: used, at: calendar, isDenied: isDenied)
        case .slots(let slots): return LimitStatus(policy: policy, slots: slots, used: held, isDenied: isDenied)
        }
    }
}

/// What Redis is told of a bucket when it is back.
struct Settlement {
    /// A correction.
    let call: RedisCommand
    fileprivate let local: LocalBucket
    fileprivate let before: (owed: Int, at: Int)?
}

extension Bucket {
    /// This loop's share, as it stands; nil where there is none to count.
    ///
    /// - Parameters:
    ///   - now: by the loop's clock, which rates go by.
    ///   - calendar: by Redis', which quotas go by; both in µs.
    ///   - onBegin: it has begun just now, and is to be settled.
    func localShare(_ share: Double, at now: Int, calendar: Int, onBegin: () -> Void = {}) -> LocalBucket? {
        if let heir { return heir.localShare(share, at: now, calendar: calendar, onBegin: onBegin) }
        if let local, !local.isOver(at: calendar) { return local }
        guard let begun = LocalBucket(self, share, owed: owedInRedis(at: calendar), at: now, calendar: calendar) else {
            return nil
        }
        local = begun
        // Slots are held by name, and Redis is told those again anyway.
        if !isOfSlots { onBegin() }
        return begun
    }

    /// Has a call pay here, where its room was asked for.
    ///
    /// - Parameters:
    ///   - now: by the loop's clock, `calendar` by Redis', both in µs.
    ///   - isInDoubt: Redis was asked as well, and may have taken it.
    /// - Returns: how it stands then.
    @discardableResult
    func takeLocally(_ cost: Int, at now: Int, calendar: Int, isInDoubt: Bool) -> LocalBucket? {
        if let heir { return heir.takeLocally(cost, at: now, calendar: calendar, isInDoubt: isInDoubt) }
        local?.take(cost, at: now, isInRedis: isInDoubt)
        if isInDoubt { lastOwed = (owedInRedis(at: calendar) + units(of: cost), calendar) }
        return local
    }

    /// Redis decides again: this loop counts it no more.
    ///
    /// - Returns: what Redis is to be told; nil where nothing was taken that it doesn't know of.
    func settle(at now: Int, calendar: Int) -> Settlement? {
        if let heir { return heir.settle(at: now, calendar: calendar) }
        guard let local else { return nil }
        self.local = nil
        let more = local.owedHereAlone(self, at: now, calendar: calendar)
        guard more > 0 else { return nil }
        let before = lastOwed
        lastOwed = (owedInRedis(at: calendar) + more, calendar)
        return Settlement(call: call(adding: more, at: calendar), local: local, before: before)
    }

    /// Redis was not told after all.
    ///
    /// - Returns: false where it counts anew already.
    func reopen(_ settlement: Settlement) -> Bool {
        if let heir { return heir.reopen(settlement) }
        guard local == nil else { return false }
        (local, lastOwed) = (settlement.local, settlement.before)
        return true
    }

    private func owedInRedis(at calendar: Int) -> Int {
        guard let lastOwed else { return 0 }
        switch meter {
        case .rate(let shape):
            var bucket = TokenBucket(shape, allowsDebt: allowsDebt)
            bucket.charge(to: lastOwed.owed, at: lastOwed.at)
            return min(bucket.backlog(at: calendar), bucket.mostUnits)
        case .quota(let quota):
            return quota.period.window(at: calendar).contains(lastOwed.at) ? lastOwed.owed : 0
        case .nothing, .slots: return 0
        }
    }
}

extension TokenBucket {
    fileprivate mutating func owe(_ cost: Int, at now: Int) {
        charge(to: min(backlog(at: now) + shape.units(ofCost: cost), Limit.largestNumber), at: now)
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
