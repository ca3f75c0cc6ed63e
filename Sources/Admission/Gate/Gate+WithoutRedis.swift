// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension Gate {
    /// The answer when Redis has none (docs/design.md §5, "Without Redis"): refusals that need no Redis as usual and
    /// uncharged; `throttle: false` is served; all else goes by `on_failure`. Authentication never fails open: a key that
    /// isn't known here, or was no good when last seen, is 503, for it can't be told.
    func decideWithoutRedis(_ ask: Ask, _ detail: String) {
        guard !ask.isDone else { return }
        counters.withoutRedis += 1
        switch (ask.request.kind, ask.request.credential) {
        case (.refusal, _):
            finish(ask, .allow(Grant()))
        case (.publicRoute, _):
            passWithoutRedis(ask, detail, nil)
        case (.protected, .absent), (.judged, .absent), (.announced, .absent):
            if configuration.allowsAnonymous { return passWithoutRedis(ask, detail, nil) }
            finish(ask, .deny(Denial(reason: .missing)))
        case (.protected, .presented(let key)), (.judged, .presented(let key)), (.announced, .presented(let key)):
            guard configuration.format.accepts(key) else { return finish(ask, .deny(Denial(reason: .malformed))) }
            guard !ask.request.takesTokens || configuration.onFailure != .closed else {
                return finish(ask, unavailable(detail))
            }
            guard let entry = records.use(ask.hash ?? CredentialHash(of: key)), entry.standingRefusal == nil,
                entry.refusal(at: redisTime) == nil
            else { return finish(ask, unavailable(detail)) }
            if let tool = entry.record.tools.firstDenied(of: ask.request.tools) {
                return finish(ask, .deny(Denial(reason: .toolNotAllowed(tool), principal: entry.principal)))
            }
            passWithoutRedis(ask, detail, entry)
        }
    }

    private func passWithoutRedis(_ ask: Ask, _ detail: String, _ entry: KeyEntry?) {
        guard ask.request.takesTokens else { return finish(ask, .allow(Grant(to: entry))) }
        guard configuration.onFailure != .closed else { return finish(ask, unavailable(detail)) }
        let charge = entry.map { keyCharge(ask, $0) } ?? anonymousCharge(ask)
        // What no wait helps needs no Redis to be known.
        guard charge.impossible == nil, configuration.onFailure == .local else {
            return finish(ask, decision(.grant(entry), charge, report: nil))
        }
        guard let report = takeHere(charge) else {
            return finish(
                ask,
                charge.items.isEmpty
                    ? .allow(Grant(to: entry)) : unavailable(detail, entry?.principal))
        }
        finish(ask, decision(.grant(entry), charge, report: report))
    }

    /// Takes the charge from this process' own buckets, all or nothing. Their clock is the loop's.
    private func takeHere(_ charge: Charge) -> LimitReport? {
        let now = Int(eventLoop.now.uptimeNanoseconds / 1_000)
        var isDenied = false
        for item in charge.items {
            guard var local = item.bucket.local ?? localBucket(for: item) else { return nil }
            if !local.bucket.shape.admits(cost: item.cost, backlog: local.bucket.backlog(at: now)) { isDenied = true }
            item.bucket.local = local
        }
        let statuses = charge.items.compactMap { item -> LimitStatus? in
            guard let (limit, old) = item.bucket.local else { return nil }
            var bucket = old
            let before = bucket.backlog(at: now)
            if !isDenied { _ = bucket.take(item.cost, at: now) }
            item.bucket.local = (limit, bucket)
            return LimitStatus(
                policy: item.bucket.policy, limit: limit, shape: bucket.shape, cost: item.cost,
                backlog: bucket.backlog(at: now),
                isDenied: !bucket.shape.admits(cost: item.cost, backlog: before))
        }
        return LimitReport(at: redisTime, statuses, of: charge)
    }

    private func localBucket(for item: Charge.Item) -> (limit: Limit, bucket: TokenBucket)? {
        let limit = item.bucket.limit.share(configuration.localShare, fitting: item.cost)
        guard let shape = try? BucketShape(limit) else { return nil }
        return (limit, TokenBucket(shape))
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
