// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// Takes what requests pay: the one question to Redis, all or nothing, and what its answer means.
///
/// 1. What has no room as far as is known is refused without a question (docs/design.md, "Limits").
/// 2. A cluster is paid hash slot by hash slot; what was paid before one of them denies goes back.
/// 3. An answer to a question that was given up is no loss of the caller's: what it took goes back.
///
/// Invariant: what is under way in a bucket is the cost of the questions that are unanswered.
final class Till {
    /// What became of a question.
    enum Answer {
        case decided(Decision, Receipt?)
        /// The organization has another revision than the record was read with: nothing was charged.
        case stale(Confirmation)
        /// Redis' clock is at the other side of an end of the key's validity: nothing was charged.
        case misjudged(Confirmation)
        /// The session is another caller's: nothing was charged.
        case foreign(Principal?)
        case absent(Absence)
    }

    private let store: Store
    private let waits: Waits
    private let slots: SlotKeeper
    private let meter: UsageMeter
    private let corrections: Corrections
    private let policies: [Policy]
    /// Redis is a cluster, whose scripts see one hash slot at a time.
    private let paysBySlot: Bool
    /// By policy.
    private(set) var policyCounters: [PolicyCounters]
    /// Denials for a rate that needed no trip.
    private(set) var deniedFromCache = 0
    /// Hears what an ask is answered.
    var onAnswer: (Ask, Answer) -> Void = { _, _ in preconditionFailure("Somebody has to hear what was answered") }

    init(
        _ configuration: AdmissionConfiguration, on store: Store, waits: Waits, slots: SlotKeeper,
        meter: UsageMeter, corrections: Corrections
    ) {
        self.store = store
        self.waits = waits
        self.slots = slots
        self.meter = meter
        self.corrections = corrections
        policies = configuration.policies
        paysBySlot = configuration.paysBySlot
        policyCounters = configuration.policies.map { _ in PolicyCounters() }
    }

    // MARK: The question

    /// Asks the buckets, all or nothing, and answers by `intent` if they have room.
    ///
    /// - Parameter prepared: the call, where it was put together before.
    func settle(
        _ ask: Ask, _ charge: Charge, _ intent: Intent, _ confirmation: Confirmation? = nil,
        prepared: RedisCommand? = nil
    ) {
        if let denial = rememberedRefusal(charge, intent) {
            deniedFromCache += 1
            return onAnswer(ask, .decided(.deny(denial), nil))
        }
        let session = BoundSession(ask.request.session, intent, store.names)
        guard confirmation != nil || session != nil || !charge.items.isEmpty else {
            for policy in charge.impossibleInShadow { policyCounters[policy].countShadow(isDenied: true) }
            return onAnswer(ask, .decided(Decision(intent, charge, report: nil), Receipt(nil, nil, ask.hash)))
        }
        if charge.takesSlots, ask.slot == nil { ask.slot = slots.newName() }
        guard paysBySlot else {
            let question = Question(charge: charge, intent: intent, confirmation: confirmation)
            return self.ask(ask, question, session, prepared: prepared)
        }
        var parts = charge.bySlot(policies)
        // The record and the session lie where the organization's buckets do.
        let beginsWithOrganization = parts.first?.items.contains { policies[$0.bucket.policy].subject.isOfOrganization }
        if confirmation != nil || session != nil, beginsWithOrganization != true {
            parts.insert(Charge([], .full), at: 0)
        }
        let question = Question(
            charge: parts.removeFirst(), intent: intent, confirmation: confirmation, rest: parts, whole: charge)
        self.ask(ask, question, session)
    }

    private func ask(
        _ ask: Ask, _ question: Question, _ session: BoundSession? = nil, prepared: RedisCommand? = nil
    ) {
        let charge = question.charge
        let link = store.link(of: question.firstKey(session))
        for item in charge.items {
            item.bucket.underWay += item.cost
            // What it has given beside Redis is owed there before Redis is asked for more.
            if item.bucket.isCountedHere, link.decides { link.settle(item.bucket) }
        }
        let call = prepared ?? question.call(session, slot: ask.slot, at: charge.quotas > 0 ? link.redisTime : 0)
        waits.wait(ask, on: link)
        link.send(call, before: ask.patience, late: { self.giveBackLate(ask, charge, $0) }) { result in
            for item in charge.items {
                item.bucket.underWay -= item.cost
                assert(item.bucket.underWay >= 0, "No more is answered than was asked")
            }
            self.conclude(ask, question, result, from: link)
        }
    }

    // MARK: The answer

    private func conclude(
        _ ask: Ask, _ question: Question, _ result: Result<RedisReply, RedisError>, from link: StoreLink
    ) {
        let charge = question.charge
        if result.leavesDoubt { ask.inDoubt = charge }
        if case .failure(.timeout) = result { slots.abandon(ask.slot, charge) }
        guard
            let answer = waits.hear(
                result, of: RedisScript.admit, from: link, by: CollectionOfOne(ask),
                without: { onAnswer($0, .absent($1)) })
        else { return }
        guard let verdict = charge.verdict(of: answer) else { return miss(ask, "unexpected answer of the script") }
        let taken = Receipt.Taken(charge: charge, answer)
        guard !ask.isDone, link.isOurs else {
            // Too late, and nobody is served for it.
            if verdict == .admitted, !ask.wasServed { corrections.giveBack(taken, slot: ask.slot) }
            return miss(ask, link.disbelief ?? "closed")
        }
        switch verdict {
        case .stale, .misjudged:
            guard let confirmation = question.confirmation else {
                return miss(ask, "unexpected answer of the script")
            }
            if verdict == .stale { for item in charge.items { policyCounters[item.bucket.policy].stale += 1 } }
            onAnswer(ask, verdict == .stale ? .stale(confirmation) : .misjudged(confirmation))
        case .turned:
            // Redis' time is known now as of this answer, so the next window is the right one.
            ask.retries.turned += 1
            guard ask.retries.turned < 3 else {
                return onAnswer(ask, .decided(.unavailable("Redis' clock jumps"), nil))
            }
            corrections.giveBack(ask)
            settle(ask, question.whole, question.intent, question.confirmation)
        case .foreign: onAnswer(ask, .foreign(question.intent.principal))
        case .admitted, .denied: conclude(ask, question, taken, isAdmitted: verdict == .admitted)
        }
    }

    private func conclude(_ ask: Ask, _ question: Question, _ taken: Receipt.Taken, isAdmitted: Bool) {
        var intent = question.intent
        if let confirmation = question.confirmation, confirmation.expectsOutside,
            case .refuse(let reason, let principal) = intent
        {
            intent = .refuse(confirmation.entry.refusal(at: taken.at) ?? reason, principal)
        }
        var statuses = statuses(taken, isDenied: !isAdmitted, ask)
        if !ask.statuses.isEmpty { statuses = ask.statuses + statuses }
        let (charge, whole) = (question.charge, question.whole)
        if isAdmitted, let next = question.next {
            if !charge.items.isEmpty { ask.paid.append(taken) }
            ask.statuses = statuses
            return self.ask(ask, next)
        }
        if isAdmitted { ask.took = whole.largestShare }
        let decision = Decision(intent, whole, report: LimitReport(at: taken.at, statuses, of: whole))
        let earlier = ask.paid
        // Of a denial, what was paid before it goes back; a refusal that all had room for is paid.
        if isAdmitted { ask.paid = [] }
        guard case .allow = decision else { return onAnswer(ask, .decided(decision, nil)) }
        let slot = whole.takesSlots ? slots.hold(ask.slot, whole) : nil
        let receipt = Receipt(
            charge.items.isEmpty ? nil : taken, earlier: earlier, slot, ask.hash, meter.mark(ask))
        onAnswer(ask, .decided(decision, receipt))
    }

    private func miss(_ ask: Ask, _ detail: String) {
        if !ask.isDone { onAnswer(ask, .absent(.useless(detail))) }
    }

    /// The answer to a question that was given up. Who was let through without it has used what it took.
    private func giveBackLate(_ ask: Ask, _ charge: Charge, _ reply: RedisReply) {
        guard let link = ask.link else { return }
        link.noteLateAnswer(after: ask.waited(at: store.eventLoop.now))
        guard !ask.wasServed, let answer = reply.array ?? reply.packed, link.time(of: answer) != nil,
            charge.verdict(of: answer) == .admitted
        else { return }
        corrections.giveBack(Receipt.Taken(charge: charge, answer), slot: ask.slot)
    }

    // MARK: What is known of the buckets

    /// What an answer says of the enforced buckets; it is remembered where somebody was denied.
    private func statuses(_ taken: Receipt.Taken, isDenied: Bool, _ ask: Ask) -> [LimitStatus] {
        let answeredAt = isDenied ? store.eventLoop.now : ask.startedAt
        var statuses: [LimitStatus] = []
        statuses.reserveCapacity(taken.charge.items.count)
        for (index, (item, reply)) in zip(taken.charge.items, taken.owed).enumerated() {
            let (bucket, owed, expiry) = (item.bucket, Int(reply.integer ?? 0), taken.expiry(ofItem: index))
            let lacksRoom = !item.hasRoom(beside: owed)
            if bucket.isEnforced {
                bucket.lastOwed = (owed, taken.at)
                let isRefused = isDenied && lacksRoom
                if isDenied {
                    bucket.hear(
                        owed, at: taken.at, askedAt: ask.startedAt, answeredAt: answeredAt, wasDenied: isRefused,
                        expiry: expiry)
                } else if bucket.lastHeard != nil {
                    bucket.hearOfAdmission(
                        owed, at: taken.at, askedAt: ask.startedAt, answeredAt: store.eventLoop.now, expiry: expiry)
                }
                if let status = LimitStatus(item, owed: owed, at: taken.at, isDenied: isRefused, expiry: expiry) {
                    policyCounters[bucket.policy].count(status, of: item, isDenied: isDenied)
                    statuses.append(status)
                }
            } else if !isDenied {
                policyCounters[bucket.policy].countShadow(isDenied: lacksRoom)
            }
        }
        for policy in taken.charge.impossibleInShadow where !isDenied {
            policyCounters[policy].countShadow(isDenied: true)
        }
        return statuses
    }

    /// A denial that needs no asking, because a bucket has no room as far as is known. What the others hold is taken from
    /// their last answer.
    private func rememberedRefusal(_ charge: Charge, _ intent: Intent) -> Denial? {
        guard charge.items.contains(where: { $0.bucket.lastHeard != nil && !$0.isShadow }) else { return nil }
        let now = store.eventLoop.now
        let waits = charge.items.map { $0.isShadow ? nil : $0.bucket.refusedMicroseconds($0.cost, at: now) }
        guard waits.contains(where: { $0 != nil }) else { return nil }
        let time = store.link(of: charge.items[0].bucket).redisTime
        for item in charge.items { item.bucket.lastHeard?.witnessedAt = now }
        let statuses = zip(charge.items, waits).compactMap { item, wait -> LimitStatus? in
            guard !item.isShadow, let owed = item.bucket.owed(at: now) else { return nil }
            // Both clocks are estimates: a bucket that refuses has less than the cost, whatever they say.
            let least = wait == nil ? 0 : item.leastOwedByARefusal
            var status = LimitStatus(
                item, owed: max(owed, least), at: time, isDenied: wait != nil, expiry: item.bucket.expiry(at: now))
            if let wait { status?.retryAfterMicroseconds = Int64(wait) }
            if let status { policyCounters[item.bucket.policy].count(status, of: item, isDenied: true) }
            return status
        }
        guard let report = LimitReport(at: time, statuses, of: charge) else { return nil }
        return Denial(
            reason: .rateLimited(policies: report.deniedPolicies), principal: intent.principal, limits: report)
    }
}

extension Result<RedisReply, RedisError> {
    /// Whether what was asked may have been done, and nobody knows.
    fileprivate var leavesDoubt: Bool {
        switch self {
        case .success, .failure(.notConnected): false
        case .failure(let error): error.serverCode == nil
        }
    }
}
