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
    /// - Parameter prepared: the same question, where it was put together before.
    func settle(
        _ ask: Ask, _ charge: Charge, _ intent: consuming Intent, _ confirmation: consuming Confirmation? = nil,
        prepared: KeyEntry.Prepared? = nil
    ) {
        if let denial = rememberedRefusal(charge, intent) {
            deniedFromCache += 1
            return onAnswer(ask, .decided(.deny(denial), nil))
        }
        let named = ask.request.session
        let session = named == nil ? nil : BoundSession(named, copy intent, store.names)
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

    /// A question whose answer is due. What hears the answer has hold of this alone, so that no memory is taken for it.
    private final class Pending {
        let till: Till
        let ask: Ask
        let question: Question
        let link: StoreLink

        init(_ question: consuming Question, of ask: Ask, by link: StoreLink, for till: Till) {
            self.question = question
            self.ask = ask
            self.link = link
            self.till = till
        }
    }

    private func ask(
        _ ask: Ask, _ question: consuming Question, _ session: BoundSession? = nil, prepared: KeyEntry.Prepared? = nil
    ) {
        let charge = question.charge
        let link = store.link(of: question.firstKey(session))
        let pending = Pending(question, of: ask, by: link, for: self)
        for item in charge.items {
            item.bucket.underWay += item.cost
            // What it has given beside Redis is owed there before Redis is asked for more.
            if item.bucket.isCountedHere, link.decides { link.settle(item.bucket) }
        }
        waits.wait(ask, on: link)
        if let prepared { return send(prepared.call, pending) }
        send(pending.question.call(session, slot: ask.slot, at: charge.quotas > 0 ? link.redisTime : 0), pending)
    }

    private func send(_ call: RedisCommand, _ pending: Pending) {
        pending.link.send(
            call, before: pending.ask.patience, late: { reply in pending.till.giveBackLate(pending, reply) }
        ) { result in
            pending.till.conclude(pending, result)
        }
    }

    // MARK: The answer

    private func conclude(_ pending: Pending, _ result: Result<RedisReply, RedisError>) {
        let (ask, link, charge) = (pending.ask, pending.link, pending.question.charge)
        for item in charge.items {
            item.bucket.underWay -= item.cost
            assert(item.bucket.underWay >= 0, "No more is answered than was asked")
        }
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
            guard let confirmation = pending.question.confirmation else {
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
            settle(ask, pending.question.whole, pending.question.intent, pending.question.confirmation)
        case .foreign: onAnswer(ask, .foreign(pending.question.intent.principal))
        case .admitted, .denied: conclude(pending, taken, isAdmitted: verdict == .admitted)
        }
    }

    private func conclude(_ pending: Pending, _ taken: consuming Receipt.Taken, isAdmitted: Bool) {
        let (ask, charge, whole) = (pending.ask, pending.question.charge, pending.question.whole)
        var statuses = statuses(taken, isDenied: !isAdmitted, ask)
        if !ask.statuses.isEmpty { statuses = ask.statuses + statuses }
        if isAdmitted, let next = pending.question.next {
            if !charge.items.isEmpty { ask.paid.append(taken) }
            ask.statuses = statuses
            return self.ask(ask, next)
        }
        if isAdmitted { ask.took = whole.largestShare }
        let decision = Decision(
            pending.question.intent(at: taken.at), whole, report: LimitReport(at: taken.at, statuses, of: whole))
        let earlier = ask.paid
        // Of a denial, what was paid before it goes back; a refusal that all had room for is paid.
        if isAdmitted { ask.paid = [] }
        guard case .allow = decision else { return onAnswer(ask, .decided(decision, nil)) }
        let slot = whole.takesSlots ? slots.hold(ask.slot, whole) : nil
        let receipt = Receipt(
            charge.items.isEmpty ? nil : taken, earlier: earlier, slot, ask.hash, meter.mark(ask))
        onAnswer(ask, .decided(consume decision, receipt))
    }

    private func miss(_ ask: Ask, _ detail: String) {
        if !ask.isDone { onAnswer(ask, .absent(.useless(detail))) }
    }

    /// The answer to a question that was given up. Who was let through without it has used what it took.
    private func giveBackLate(_ pending: Pending, _ reply: RedisReply) {
        let (ask, charge) = (pending.ask, pending.question.charge)
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
        let items = taken.charge.items
        var statuses: [LimitStatus] = []
        statuses.reserveCapacity(items.count)
        for index in items.indices {
            let item = items[index]
            let (bucket, owed, expiry) = (item.bucket, taken.owed(ofItem: index), taken.expiry(ofItem: index))
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
