// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

extension Gate {
    /// The answer when Redis has none (docs/design.md §5, "Without Redis"): refusals that need no Redis as usual and
    /// uncharged; `throttle: false` is served; all else goes by `on_failure`. Authentication never fails open: a key that
    /// isn't known here, or was no good when last seen, is 503, for it can't be told.
    func decideWithoutRedis(_ ask: Ask, _ detail: String) {
        decideWithoutRedis(ask, .limiterUnavailable(detail: detail))
    }

    func decideWithoutRedis(_ ask: Ask, _ reason: Denial.Reason) {
        guard !ask.isDone else { return }
        counters.withoutRedis += 1
        switch (ask.request.kind, ask.request.credential) {
        case (.recheck, _):
            finish(ask, .deny(Denial(reason: reason)))
        case (.refusal, _), (.abandoned, _):
            finish(ask, .allow(Grant()))
        case (.publicRoute, _):
            passWithoutRedis(ask, reason, nil)
        case (.protected, .absent), (.judged, .absent), (.announced, .absent):
            guard configuration.allowsAnonymous, ask.request.scopes.isEmpty else {
                return finish(ask, .deny(Denial(reason: .missing)))
            }
            passWithoutRedis(ask, reason, nil)
        case (.protected, .presented(let key)), (.judged, .presented(let key)), (.announced, .presented(let key)):
            guard configuration.format.accepts(key) else { return finish(ask, .deny(Denial(reason: .malformed))) }
            guard !ask.request.takesTokens || configuration.onFailure != .closed else {
                return finish(ask, .deny(Denial(reason: reason)))
            }
            let hash = ask.hash ?? CredentialHash(of: key)
            guard let entry = records.use(hash), entry.standingRefusal == nil, entry.refusal(at: redisTime) == nil
            else {
                return finish(ask, .deny(Denial(reason: reason)))
            }
            ask.caller = Caller(entry: entry, hash: hash)
            // A message is refused once it is read, or the refusal couldn't name its id.
            if ask.request.kind != .announced, let objection = entry.record.objection(to: ask.request) {
                return finish(ask, .deny(Denial(reason: objection, principal: entry.principal)))
            }
            passWithoutRedis(ask, reason, entry)
        }
    }

    private func passWithoutRedis(_ ask: Ask, _ reason: Denial.Reason, _ entry: KeyEntry?) {
        guard ask.request.takesTokens else { return finish(ask, .allow(Grant(to: entry))) }
        guard configuration.onFailure != .closed else { return finish(ask, .deny(Denial(reason: reason))) }
        let charge = entry.map { keyCharge(ask, $0) } ?? anonymousCharge(ask)
        // What no wait helps needs no Redis to be known.
        guard charge.impossible == nil, configuration.onFailure == .local else {
            return finish(ask, decision(.grant(entry), charge, report: nil))
        }
        let here = takeHere(charge, ask)
        guard let report = here.report else {
            return finish(
                ask,
                charge.items.isEmpty
                    ? .allow(Grant(to: entry)) : .deny(Denial(reason: reason, principal: entry?.principal)))
        }
        finish(ask, decision(.grant(entry), charge, report: report), Receipt(nil, here.lease, ask.hash))
    }

    /// Takes the charge from this process' own buckets, all or nothing. Their clock is the loop's; quotas go by the calendar,
    /// so by Redis' clock as far as it is known.
    private func takeHere(_ charge: Charge, _ ask: Ask) -> (report: LimitReport?, lease: Lease?) {
        let (now, calendar) = (eventLoop.now.microseconds, redisTime)
        let items = charge.items.filter { !$0.isShadow }
        var isDenied = false
        for item in items {
            guard let share = item.bucket.localShare(configuration.localShare, fitting: item.cost, at: calendar) else {
                return (nil, nil)
            }
            item.bucket.local = share
            if !hasRoomHere(item, share, at: now) { isDenied = true }
        }
        if !isDenied { ask.took = charge.largestShare }
        var lease: Lease?
        if !isDenied, charge.takesSlots {
            let slot = ask.slot ?? leases.newName()
            ask.slot = slot
            lease = hold(slot, charge)
        }
        let statuses = items.compactMap { item -> LimitStatus? in
            guard var local = item.bucket.local else { return nil }
            let lacksRoom = isDenied && !hasRoomHere(item, local, at: now)
            if !isDenied { local.take(item.cost, at: now) }
            item.bucket.local = local
            return local.status(
                of: item, held: leases.count(in: item.bucket), at: now, calendar: calendar, isDenied: lacksRoom)
        }
        return (LimitReport(at: calendar, statuses, of: charge), lease)
    }

    private func hasRoomHere(_ item: Charge.Item, _ local: LocalBucket, at now: Int) -> Bool {
        local.hasRoom(for: item.cost, held: leases.count(in: item.bucket), at: now)
    }
}
