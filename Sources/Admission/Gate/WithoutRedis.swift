// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// The answer when Redis has none (docs/design.md, "Without Redis"): refusals that need no Redis as usual and uncharged;
/// `throttle: false` is served; all else goes by `on_failure`. The request's route and each policy that it pays may have a word of
/// their own, and the most careful one decides; of the buckets those are counted that are `local`. Authentication never fails
/// open: a key that isn't known here, or was no good when any loop last saw it, is 503, for it can't be told.
final class WithoutRedis {
    private let configuration: AdmissionConfiguration
    private let store: Store
    private let cache: KeyCache
    private let payers: Payers
    private let slots: SlotKeeper
    /// Decisions made, whatever the answer.
    private(set) var count = 0
    /// By policy.
    private(set) var policyCounters: [PolicyCounters]

    init(
        _ configuration: AdmissionConfiguration, on store: Store, cache: KeyCache, payers: Payers,
        slots: SlotKeeper
    ) {
        self.configuration = configuration
        self.store = store
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
            return (.allow(.plain), nil)
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
        guard !ask.request.takesTokens || configuration.mayServe(ask.request) else {
            return (.deny(Denial(reason: reason)), nil)
        }
        let hash = hash()
        guard let entry = cache.lastOfAll(hash), entry.standingRefusal == nil,
            isFresh(entry, for: ask), entry.refusal(at: link(of: entry).redisTime) == nil
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

    private func isFresh(_ entry: KeyEntry, for ask: Ask) -> Bool {
        !ask.request.takesTokens || link(of: entry).wasOfUse(within: configuration.staleFor)
    }

    private func link(of entry: KeyEntry) -> StoreLink { store.link(of: entry.organization.key) }

    private func pass(
        _ ask: Ask, _ reason: Denial.Reason, _ entry: KeyEntry?
    ) -> (decision: Decision, receipt: Receipt?) {
        let request = ask.request
        guard request.takesTokens else { return (.allow(Grant(entry?.rights)), nil) }
        let charge = entry.map { payers.keyCharge(request, $0) } ?? payers.anonymousCharge(request)
        var (counted, uncounted): ([Charge.Item], [Charge.Item]) = ([], [])
        var word = charge.items.allSatisfy(\.isShadow) ? configuration.onFailure(of: nil, on: request) : .open
        for item in charge.items where !item.isShadow {
            let own = configuration.onFailure(of: item.bucket.policy, on: request)
            if own == .local { counted.append(item) } else { uncounted.append(item) }
            word = max(word, own)
        }
        guard word != .closed else { return (.deny(Denial(reason: reason)), nil) }
        // What no wait helps needs no Redis to be known.
        guard charge.impossible == nil else {
            return (Intent.grant.decision(to: entry?.rights, charge, report: nil), nil)
        }
        guard let here = take(counted, of: charge, ask) else {
            return (.deny(Denial(reason: reason, principal: entry?.principal)), nil)
        }
        let isDenied = here.statuses.contains(where: \.isDenied)
        count(here.statuses, isDenied: isDenied)
        if !isDenied { for item in uncounted { policyCounters[item.bucket.policy].open += 1 } }
        let report = LimitReport(at: store.redisTime, here.statuses, of: charge)
        ask.payment.slot = here.slot
        return (Intent.grant.decision(to: entry?.rights, charge, report: report), Receipt(of: ask))
    }

    private func count(_ statuses: [LimitStatus], isDenied: Bool) {
        for status in statuses where status.isDenied == isDenied {
            if isDenied { policyCounters[status.policy].denied += 1 } else { policyCounters[status.policy].local += 1 }
        }
    }

    /// Takes what is counted here from this process' own buckets, all or nothing. Their clock is the loop's; quotas go by the
    /// calendar, so by Redis' clock as far as it is known.
    ///
    /// - Returns: nil where a bucket's share can't be counted.
    private func take(
        _ items: [Charge.Item], of charge: Charge, _ ask: Ask
    ) -> (statuses: [LimitStatus], slot: HeldSlot?)? {
        let (now, calendar) = (store.eventLoop.now.microseconds, store.redisTime)
        var shares: [(item: Charge.Item, local: LocalBucket)] = []
        for item in items {
            let share = item.bucket.localShare(configuration.localShare, at: now, calendar: calendar) {
                store.link(of: item.bucket).expectToSettle(item.bucket)
            }
            guard let share else { return nil }
            shares.append((item, share))
        }
        let lacking = shares.map { !hasRoom($0.item, $0.local, at: now) }
        let isDenied = lacking.contains(true)
        var slot: HeldSlot?
        if !isDenied, !items.isEmpty {
            ask.payment.share = Charge.Share.largest(among: items.filter { !$0.bucket.isOfSlots }) { $0.cost }
            if charge.takesSlots {
                let name = ask.slot ?? slots.newName()
                ask.slot = name
                slot = slots.hold(name, charge)
            }
            for (index, item) in items.enumerated() {
                let isInDoubt = ask.inDoubt?.items.contains { $0.bucket === item.bucket } ?? false
                let paid = item.bucket.takeLocally(item.cost, at: now, calendar: calendar, isInDoubt: isInDoubt)
                if let paid { shares[index].local = paid }
            }
        }
        let statuses = zip(shares, lacking).map { share, lacksRoom in
            share.local.status(
                of: share.item, held: slots.count(in: share.item.bucket), at: now, calendar: calendar,
                isDenied: lacksRoom)
        }
        return (statuses, slot)
    }

    private func hasRoom(_ item: Charge.Item, _ local: LocalBucket, at now: Int) -> Bool {
        local.hasRoom(for: item.cost, held: slots.count(in: item.bucket), at: now)
    }
}
