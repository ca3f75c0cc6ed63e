// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// The answer when Redis has none (docs/design.md, "Without Redis"): refusals that need no Redis as usual and uncharged;
/// `throttle: false` is served; all else goes by `on_failure`. Authentication never fails open: a key that isn't known here,
/// or was no good when any loop last saw it, is 503, for it can't be told.
final class WithoutRedis {
    private let configuration: AdmissionConfiguration
    private let link: StoreLink
    private let cache: KeyCache
    private let payers: Payers
    private let slots: SlotKeeper
    /// Decisions made, whatever the answer.
    private(set) var count = 0
    /// By policy.
    private(set) var policyCounters: [PolicyCounters]

    init(
        _ configuration: AdmissionConfiguration, on link: StoreLink, cache: KeyCache, payers: Payers,
        slots: SlotKeeper
    ) {
        self.configuration = configuration
        self.link = link
        self.cache = cache
        self.payers = payers
        self.slots = slots
        policyCounters = configuration.policies.map { _ in PolicyCounters() }
    }

    /// - Parameter reason: what the denial gives, where it is one for want of Redis.
    func decide(_ ask: Ask, _ reason: Denial.Reason) -> (decision: Decision, receipt: Receipt?) {
        count += 1
        switch (ask.request.kind, ask.request.credential) {
        case (.recheck, _):
            return (.deny(Denial(reason: reason)), nil)
        case (.refusal, _), (.abandoned, _):
            return (.allow(Grant()), nil)
        case (.publicRoute, _):
            return pass(ask, reason, nil)
        case (.protected, .absent), (.judged, .absent), (.announced, .absent):
            guard configuration.allowsAnonymous, ask.request.scopes.isEmpty else {
                return (.deny(Denial(reason: .missing)), nil)
            }
            return pass(ask, reason, nil)
        case (.protected, .presented(let key)), (.judged, .presented(let key)), (.announced, .presented(let key)):
            guard configuration.format.accepts(key) else { return (.deny(Denial(reason: .malformed)), nil) }
            return judge(ask, by: ask.hash ?? CredentialHash(of: key), reason)
        }
    }

    private func judge(
        _ ask: Ask, by hash: @autoclosure () -> CredentialHash, _ reason: Denial.Reason
    ) -> (decision: Decision, receipt: Receipt?) {
        guard !ask.request.takesTokens || configuration.onFailure != .closed else {
            return (.deny(Denial(reason: reason)), nil)
        }
        let hash = hash()
        let isFresh = !ask.request.takesTokens || link.wasOfUse(within: configuration.staleFor)
        guard isFresh, let entry = cache.lastOfAll(hash), entry.standingRefusal == nil,
            entry.refusal(at: link.redisTime) == nil
        else {
            return (.deny(Denial(reason: reason)), nil)
        }
        ask.caller = Caller(entry: entry, hash: hash)
        // A message is refused once it is read, or the refusal couldn't name its id.
        if ask.request.kind != .announced, let objection = entry.record.objection(to: ask.request) {
            return (.deny(Denial(reason: objection, principal: entry.principal)), nil)
        }
        return pass(ask, reason, entry)
    }

    private func pass(
        _ ask: Ask, _ reason: Denial.Reason, _ entry: KeyEntry?
    ) -> (decision: Decision, receipt: Receipt?) {
        guard ask.request.takesTokens else { return (.allow(Grant(to: entry)), nil) }
        guard configuration.onFailure != .closed else { return (.deny(Denial(reason: reason)), nil) }
        let charge = entry.map { payers.keyCharge(ask.request, $0) } ?? payers.anonymousCharge(ask.request)
        // What no wait helps needs no Redis to be known.
        guard charge.impossible == nil, configuration.onFailure == .local else {
            if charge.impossible == nil {
                for item in charge.items { policyCounters[item.bucket.policy].open += 1 }
            }
            return (Decision(.grant(entry), charge, report: nil), nil)
        }
        let here = take(charge, ask)
        guard let report = here.report else {
            return (
                charge.items.isEmpty
                    ? .allow(Grant(to: entry)) : .deny(Denial(reason: reason, principal: entry?.principal)), nil
            )
        }
        count(report)
        return (Decision(.grant(entry), charge, report: report), Receipt(nil, here.slot, ask.hash))
    }

    private func count(_ report: LimitReport) {
        let isDenied = report.statuses.contains(where: \.isDenied)
        for status in report.statuses where status.isDenied == isDenied {
            if isDenied { policyCounters[status.policy].denied += 1 } else { policyCounters[status.policy].local += 1 }
        }
    }

    /// Takes the charge from this process' own buckets, all or nothing. Their clock is the loop's; quotas go by the calendar,
    /// so by Redis' clock as far as it is known.
    private func take(_ charge: Charge, _ ask: Ask) -> (report: LimitReport?, slot: HeldSlot?) {
        let (now, calendar) = (link.eventLoop.now.microseconds, link.redisTime)
        let items = charge.items.filter { !$0.isShadow }
        var isDenied = false
        for item in items {
            guard let share = item.bucket.localShare(configuration.localShare, at: calendar) else {
                return (nil, nil)
            }
            item.bucket.local = share
            if !hasRoom(item, share, at: now) { isDenied = true }
        }
        if !isDenied { ask.took = charge.largestShare }
        var slot: HeldSlot?
        if !isDenied, charge.takesSlots {
            let name = ask.slot ?? slots.newName()
            ask.slot = name
            slot = slots.hold(name, charge)
        }
        let statuses = items.compactMap { item -> LimitStatus? in
            guard var local = item.bucket.local else { return nil }
            let lacksRoom = isDenied && !hasRoom(item, local, at: now)
            if !isDenied { local.take(item.cost, at: now) }
            item.bucket.local = local
            return local.status(
                of: item, held: slots.count(in: item.bucket), at: now, calendar: calendar, isDenied: lacksRoom)
        }
        return (LimitReport(at: calendar, statuses, of: charge), slot)
    }

    private func hasRoom(_ item: Charge.Item, _ local: LocalBucket, at now: Int) -> Bool {
        local.hasRoom(for: item.cost, held: slots.count(in: item.bucket), at: now)
    }
}
