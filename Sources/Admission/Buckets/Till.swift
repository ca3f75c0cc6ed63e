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
    func settle(_ ask: Ask, _ charge: Charge, _ intent: Intent, prepared: KeyEntry.Prepared? = nil) {
        if let denial = rememberedRefusal(ask, charge, intent) {
            deniedFromCache += 1
            return onAnswer(ask, .decided(.deny(denial), nil))
        }
        if let prepared, !paysBySlot, let link = store.sole {
            begin(ask, charge, intent, by: link)
            return link.send(prepared.call, of: ask)
        }
        let confirmation = intent.confirmation(of: ask.caller?.entry)
        let session = BoundSession(ask.request.session, intent, of: ask.caller?.entry, store.names)
        guard confirmation != nil || session != nil || !charge.items.isEmpty else {
            for policy in charge.impossibleInShadow { policyCounters[policy].countShadow(isDenied: true) }
            let decision = intent.decision(to: ask.caller?.entry.rights, charge, report: nil)
            return onAnswer(ask, .decided(decision, Receipt(of: ask)))
        }
        if charge.takesSlots, ask.slot == nil { ask.slot = slots.newName() }
        guard paysBySlot else { return self.ask(ask, Question(charge, confirming: confirmation), intent, session) }
        var parts = charge.bySlot(policies)
        // The record and the session lie where the organization's buckets do.
        let beginsWithOrganization = parts.first?.items.contains { policies[$0.bucket.policy].subject.isOfOrganization }
        if confirmation != nil || session != nil, beginsWithOrganization != true {
            parts.insert(Charge([], .full), at: 0)
        }
        let instalments = Instalments(of: charge, parts)
        ask.instalments = instalments
        guard let first = instalments.next() else { preconditionFailure("What asks for nothing has nothing to settle") }
        self.ask(ask, Question(first, confirming: confirmation), intent, session)
    }

    private func ask(_ ask: Ask, _ question: Question, _ intent: Intent, _ session: BoundSession? = nil) {
        let link = store.link(of: question.firstKey(session))
        begin(ask, question.charge, intent, by: link)
        let now = question.charge.quotas > 0 ? link.redisTime : 0
        link.send(question.call(session, slot: ask.slot, at: now), of: ask)
    }

    /// From here on an answer is due.
    private func begin(_ ask: Ask, _ charge: Charge, _ intent: Intent, by link: StoreLink) {
        for item in charge.items {
            item.bucket.underWay += item.cost
            // What it has given beside Redis is owed there before Redis is asked for more.
            if item.bucket.isCountedHere, link.decides { link.settle(item.bucket) }
        }
        ask.begin(Ask.Pending(charge: charge, intent: intent), heardBy: self)
        waits.wait(ask, on: link)
    }

    // MARK: The answer

    fileprivate func conclude(
        _ ask: Ask, _ charge: Charge, _ intent: Intent, _ result: Result<RedisReply, RedisError>, from link: StoreLink
    ) {
        for item in charge.items {
            item.bucket.underWay -= item.cost
            assert(item.bucket.underWay >= 0, "No more is answered than was asked")
        }
        ask.isInDoubt = result.leavesDoubt
        if case .failure(.timeout) = result { slots.abandon(ask.slot, charge) }
        let heard = link.hear(result, of: RedisScript.admit) { reply in AdmitAnswer(reply).map { ($0, $0.time) } }
        guard
            let answer = waits.note(
                heard, from: link, by: CollectionOfOne(ask), without: { lack($0, $1) })
        else { return }
        guard let verdict = charge.verdict(of: answer) else { return miss(ask, "unexpected answer of the script") }
        guard !ask.isDone, link.isOurs else {
            // Too late, and nobody is served for it.
            if verdict == .admitted, !ask.wasServed {
                corrections.giveBack(Receipt.Taken(charge: charge, answer), slot: ask.slot)
            }
            return miss(ask, link.disbelief ?? "closed")
        }
        switch verdict {
        case .admitted: noteAdmission(ask, charge, intent, answer)
        case .denied: noteDenial(ask, charge, intent, answer)
        case .stale, .misjudged:
            guard ask.instalments?.confirmedAt == nil, let confirmation = intent.confirmation(of: ask.caller?.entry)
            else { return miss(ask, "unexpected answer of the script") }
            if case .misjudged = verdict { return onAnswer(ask, .misjudged(confirmation)) }
            for item in charge.items { policyCounters[item.bucket.policy].stale += 1 }
            onAnswer(ask, .stale(confirmation))
        case .turned:
            // Redis' time is known now as of this answer, so the next window is the right one.
            ask.retries.turned += 1
            guard ask.retries.turned < 3 else {
                return onAnswer(ask, .decided(.unavailable("Redis' clock jumps"), nil))
            }
            let whole = ask.instalments?.whole ?? charge
            corrections.giveBack(ask)
            settle(ask, whole, intent)
        case .foreign:
            // What was paid before is in no receipt yet: it goes back.
            guard ask.instalments?.confirmedAt == nil else { return miss(ask, "unexpected answer of the script") }
            onAnswer(ask, .foreign(intent.principal(of: ask.caller?.entry.rights)))
        }
    }

    /// There is no answer. A question that takes nothing may be carried out twice: where its connection was lost it is asked once
    /// more, if the ask has time.
    private func lack(_ ask: Ask, _ absence: Absence) {
        guard case .failed(.connectionClosed) = absence, let pending = ask.pending, pending.charge.takesNothing,
            ask.instalments?.paid.isEmpty != false, ask.retries.unanswered == 0, store.eventLoop.now < ask.patience
        else { return onAnswer(ask, .absent(absence)) }
        ask.retries.unanswered += 1
        settle(ask, ask.instalments?.whole ?? pending.charge, pending.intent)
    }

    private func noteAdmission(_ ask: Ask, _ charge: Charge, _ intent: Intent, _ answer: consuming AdmitAnswer) {
        let statuses = statuses(charge, answer, isDenied: false, ask)
        guard let instalments = ask.instalments else { return admit(ask, charge, intent, answer, statuses) }
        instalments.note(statuses, at: answer.time)
        if let next = instalments.next() {
            instalments.note(Receipt.Taken(charge: charge, answer))
            return self.ask(ask, Question(next), intent)
        }
        admit(ask, instalments.whole, intent, answer, instalments.statuses)
    }

    /// All of a charge is paid.
    private func admit(
        _ ask: Ask, _ charge: Charge, _ intent: Intent, _ answer: consuming AdmitAnswer,
        _ statuses: consuming [LimitStatus]
    ) {
        ask.payment.share = charge.largestShare
        let report = LimitReport(at: answer.time, statuses, of: charge)
        let judged = intent.judged(at: ask.instalments?.confirmedAt ?? answer.time)
        let decision = judged.decision(to: ask.caller?.entry.rights, charge, report: report)
        if case .allow = decision {
            ask.payment.answer = consume answer
            if charge.takesSlots { ask.payment.slot = slots.hold(ask.slot, charge) }
            meter.mark(ask)
            return onAnswer(ask, .decided(consume decision, Receipt(of: ask)))
        }
        // All had room for the refusal, and it is paid.
        ask.instalments = nil
        onAnswer(ask, .decided(decision, nil))
    }

    /// What was paid before it goes back.
    private func noteDenial(_ ask: Ask, _ charge: Charge, _ intent: Intent, _ answer: AdmitAnswer) {
        let statuses = (ask.instalments?.statuses ?? []) + statuses(charge, answer, isDenied: true, ask)
        let whole = ask.instalments?.whole ?? charge
        let report = LimitReport(at: answer.time, statuses, of: whole)
        let judged = intent.judged(at: ask.instalments?.confirmedAt ?? answer.time)
        let decision = judged.decision(to: ask.caller?.entry.rights, whole, report: report)
        onAnswer(ask, .decided(decision, nil))
    }

    private func miss(_ ask: Ask, _ detail: String) {
        if !ask.isDone { onAnswer(ask, .absent(.useless(detail))) }
    }

    /// The answer to a question that was given up. Who was let through without it has used what it took.
    fileprivate func giveBackLate(_ ask: Ask, _ charge: Charge, _ reply: RedisReply, from link: StoreLink) {
        link.noteLateAnswer(after: ask.waited(at: store.eventLoop.now))
        guard !ask.wasServed, let answer = AdmitAnswer(reply), charge.verdict(of: answer) == .admitted else { return }
        corrections.giveBack(Receipt.Taken(charge: charge, answer), slot: ask.slot)
    }

    // MARK: What is known of the buckets

    /// What an answer says of the enforced buckets; it is remembered where somebody was denied.
    private func statuses(_ charge: Charge, _ answer: AdmitAnswer, isDenied: Bool, _ ask: Ask) -> [LimitStatus] {
        let answeredAt = isDenied ? store.eventLoop.now : ask.startedAt
        var statuses: [LimitStatus] = []
        statuses.reserveCapacity(charge.items.count)
        for (index, item) in charge.items.enumerated() {
            let (owed, expiry) = (answer.owed(ofItem: index), answer.expiry(ofItem: index, charge))
            guard !item.isShadow else {
                if !isDenied { policyCounters[item.bucket.policy].countShadow(isDenied: !item.hasRoom(beside: owed)) }
                continue
            }
            item.bucket.lastOwed = (owed, answer.time)
            let isRefused = isDenied && !item.hasRoom(beside: owed)
            if isDenied {
                item.bucket.hear(
                    owed, at: answer.time, askedAt: ask.startedAt, answeredAt: answeredAt, wasDenied: isRefused,
                    expiry: expiry)
            } else if item.bucket.lastHeard != nil {
                item.bucket.hearOfAdmission(
                    owed, at: answer.time, askedAt: ask.startedAt, answeredAt: store.eventLoop.now, expiry: expiry)
            }
            if let status = item.status(owed: owed, at: answer.time, isDenied: isRefused, expiry: expiry) {
                policyCounters[status.policy].count(status, of: item, isDenied: isDenied)
                statuses.append(status)
            }
        }
        for policy in charge.impossibleInShadow where !isDenied {
            policyCounters[policy].countShadow(isDenied: true)
        }
        return statuses
    }

    /// A denial that needs no asking, because a bucket has no room as far as is known. What the others hold is taken from
    /// their last answer.
    private func rememberedRefusal(_ ask: Ask, _ charge: Charge, _ intent: Intent) -> Denial? {
        guard charge.items.contains(where: { $0.bucket.lastHeard != nil && !$0.isShadow }) else { return nil }
        let now = store.eventLoop.now
        guard charge.items.contains(where: { !$0.isShadow && $0.bucket.refuses($0.cost, at: now) }) else { return nil }
        let time = store.link(of: charge.items[0].bucket).redisTime
        var statuses: [LimitStatus] = []
        statuses.reserveCapacity(charge.items.count)
        for item in charge.items {
            item.bucket.lastHeard?.witnessedAt = now
            guard !item.isShadow, let known = item.bucket.remembered(asking: item.cost, at: now) else { continue }
            let isDenied = known.wait != nil
            if isDenied {
                item.bucket.lastHeard?.deniedAt = now
                policyCounters[item.bucket.policy].denied += 1
            }
            // Both clocks are estimates: a bucket that refuses has less than the cost, whatever they say.
            let owed = isDenied ? max(known.owed, item.leastOwedByARefusal) : known.owed
            guard var status = item.status(owed: owed, at: time, isDenied: isDenied, expiry: known.expiry) else {
                continue
            }
            if let wait = known.wait { status.retryAfterMicroseconds = Int64(wait) }
            statuses.append(status)
        }
        guard let report = LimitReport(at: time, statuses, of: charge) else { return nil }
        assert(report.isDenial, "Who refuses is in the report")
        return Denial(by: report, of: intent.principal(of: ask.caller?.entry.rights))
    }
}

extension StoreLink {
    /// What hears the answer has hold of the ask alone, so that no memory is taken for it.
    fileprivate func send(_ call: consuming RedisCommand, of ask: Ask) {
        send(call, before: ask.patience, late: { ask.hearLate($0) }, { ask.hear($0) })
    }
}

extension Ask {
    fileprivate func hear(_ result: Result<RedisReply, RedisError>) {
        let isLate = if case .failure(.timeout) = result { true } else { false }
        guard let till = hearer(isLate: isLate), let pending, let link else {
            preconditionFailure("Only what was asked is answered")
        }
        till.conclude(self, pending.charge, pending.intent, result, from: link)
    }

    fileprivate func hearLate(_ reply: RedisReply) {
        guard let till = hearer(isLate: false), let charge = pending?.charge, let link else {
            return assertionFailure("Only what was asked is answered, and late once")
        }
        till.giveBackLate(self, charge, reply, from: link)
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
