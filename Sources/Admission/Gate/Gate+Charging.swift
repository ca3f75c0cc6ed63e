// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// What the script has to find as the record says it, before anything is charged.
struct Confirmation {
    let entry: KeyEntry
    /// The answer rests on the key being outside its validity, not within.
    let expectsOutside: Bool

    init(of entry: KeyEntry, expectsOutside: Bool = false) {
        self.entry = entry
        self.expectsOutside = expectsOutside
    }

    /// A refusal that rests on a record read for this very request needs none.
    init?(of entry: KeyEntry, unlessFresh isFresh: Bool) {
        guard !isFresh else { return nil }
        self.init(of: entry)
    }
}

extension Gate {
    /// Asks the buckets, all or nothing, and answers by `intent` if they have room.
    ///
    /// - Parameter prepared: the call, where it was put together before.
    func settle(
        _ ask: Ask, _ charge: Charge, _ intent: Intent, _ confirmation: Confirmation? = nil,
        prepared: RedisCommand? = nil
    ) {
        if let denial = rememberedRefusal(charge, intent) {
            counters.deniedFromCache += 1
            return finish(ask, .deny(denial))
        }
        let session = sessionQuestion(ask, intent)
        guard confirmation != nil || session != nil || !charge.items.isEmpty else {
            for policy in charge.impossibleInShadow { policyCounters[policy].countShadow(isDenied: true) }
            return finish(ask, decision(intent, charge, report: nil), Receipt(nil, nil, ask.hash))
        }
        if charge.takesSlots, ask.slot == nil { ask.slot = leases.newName() }
        guard configuration.paysBySlot else {
            let question = Question(charge: charge, intent: intent, confirmation: confirmation)
            return self.ask(ask, question, session, prepared: prepared)
        }
        let policies = configuration.policies
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
        for item in charge.items { item.bucket.underWay += item.cost }
        let call = prepared ?? question.call(session, slot: ask.slot, at: charge.quotas > 0 ? redisTime : 0)
        wait(ask)
        send(call, before: ask.patience, late: { self.giveBackLate(ask, charge, $0) }) { result in
            for item in charge.items { item.bucket.underWay -= item.cost }
            self.conclude(ask, question, result)
        }
    }

    private func conclude(_ ask: Ask, _ question: Question, _ result: Result<RedisReply, RedisError>) {
        let charge = question.charge
        if case .failure(.timeout) = result { abandonSlots(ask, charge) }
        guard let answer = heard(result, of: Self.admitScript, by: CollectionOfOne(ask)) else { return }
        guard let verdict = charge.verdict(of: answer) else {
            return ask.isDone ? () : decideWithoutRedis(ask, "unexpected answer of the script")
        }
        let taken = Receipt.Taken(charge: charge, answer)
        guard !ask.isDone, outage == nil else {
            // Too late, and nobody is served for it.
            if verdict == .admitted, !ask.wasServed { giveBack(taken, slot: ask.slot) }
            return ask.isDone ? () : decideWithoutRedis(ask, outage ?? "closed")
        }
        switch verdict {
        case .stale, .misjudged:
            guard let confirmation = question.confirmation else {
                return decideWithoutRedis(ask, "unexpected answer of the script")
            }
            askAgain(ask, confirmation, after: verdict)
        case .turned:
            // Redis' time is known now as of this answer, so the next window is the right one.
            ask.turns += 1
            guard ask.turns < 3 else { return finish(ask, unavailable("Redis' clock jumps")) }
            giveBack(ask)
            settle(ask, question.whole, question.intent, question.confirmation)
        case .foreign:
            // As much of a guess as a key that isn't one.
            settle(ask, addressCharge(ask), .refuse(.foreignSession, question.intent.principal))
        case .admitted, .denied:
            var intent = question.intent
            if let confirmation = question.confirmation, confirmation.expectsOutside,
                case .refuse(let reason, let principal) = intent
            {
                intent = .refuse(confirmation.entry.refusal(at: taken.at) ?? reason, principal)
            }
            var statuses = statuses(taken, isDenied: verdict == .denied, ask)
            if !ask.statuses.isEmpty { statuses = ask.statuses + statuses }
            if verdict == .admitted, let next = question.next {
                if !charge.items.isEmpty { ask.paid.append(taken) }
                ask.statuses = statuses
                return self.ask(ask, next)
            }
            let whole = question.whole
            if verdict == .admitted { ask.took = whole.largestShare }
            let decision = decision(intent, whole, report: LimitReport(at: taken.at, statuses, of: whole))
            let earlier = ask.paid
            // Of a denial, what was paid before it goes back; a refusal that all had room for is paid.
            if verdict == .admitted { ask.paid = [] }
            guard case .allow = decision else { return finish(ask, decision) }
            let lease = whole.takesSlots ? hold(ask.slot, whole) : nil
            let receipt = Receipt(
                charge.items.isEmpty ? nil : taken, earlier: earlier, lease, ask.hash, usageMark(ask))
            finish(ask, decision, receipt)
        }
    }

    /// The answer to a question that was given up. Who was let through without it has used what it took.
    private func giveBackLate(_ ask: Ask, _ charge: Charge, _ reply: RedisReply) {
        late.stretch(to: ask.waited(at: eventLoop.now))
        guard !ask.wasServed, let answer = reply.array, time(of: answer) != nil,
            charge.verdict(of: answer) == .admitted
        else { return }
        giveBack(Receipt.Taken(charge: charge, answer), slot: ask.slot)
    }

    private func askAgain(_ ask: Ask, _ confirmation: Confirmation, after verdict: AdmitVerdict) {
        guard let hash = ask.hash else { return decideWithoutRedis(ask, "no credential to ask again for") }
        if verdict == .stale {
            // However often it changes, the budget ends this.
            counters.stale += 1
            ask.staleAnswers += 1
            load(ask, confirmation.entry.pointer, hash)
        } else {
            // The clock has passed an end of validity since it was estimated; it may do so at both ends, not more.
            ask.misjudgements += 1
            guard ask.misjudgements < 3 else { return finish(ask, unavailable("Redis' clock jumps")) }
            judge(ask, confirmation.entry, isFresh: false, isOutside: !confirmation.expectsOutside)
        }
    }

    // MARK: What the answer says

    /// What an answer says of the enforced buckets; it is remembered where somebody was denied.
    private func statuses(_ taken: Receipt.Taken, isDenied: Bool, _ ask: Ask) -> [LimitStatus] {
        let answeredAt = isDenied ? eventLoop.now : ask.startedAt
        var statuses: [LimitStatus] = []
        statuses.reserveCapacity(taken.charge.items.count)
        for (index, (item, reply)) in zip(taken.charge.items, taken.owed).enumerated() {
            let (bucket, owed, expiry) = (item.bucket, Int(reply.integer ?? 0), taken.expiry(ofItem: index))
            let lacksRoom = !item.hasRoom(beside: owed)
            if bucket.isEnforced {
                let isRefused = isDenied && lacksRoom
                if isDenied {
                    bucket.hear(
                        owed, at: taken.at, askedAt: ask.startedAt, answeredAt: answeredAt, wasDenied: isRefused,
                        expiry: expiry)
                } else if bucket.lastHeard != nil {
                    bucket.hearOfAdmission(
                        owed, at: taken.at, askedAt: ask.startedAt, answeredAt: eventLoop.now, expiry: expiry)
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
        let now = eventLoop.now
        let waits = charge.items.map { $0.isShadow ? nil : $0.bucket.refusedMicroseconds($0.cost, at: now) }
        guard waits.contains(where: { $0 != nil }) else { return nil }
        let time = redisTime
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

    /// What the buckets and the intent make together. A bucket that refuses speaks before all else.
    func decision(_ intent: Intent, _ charge: Charge, report: LimitReport?) -> Decision {
        if let report, report.statuses.contains(where: \.isDenied) {
            return .deny(
                Denial(
                    reason: .rateLimited(policies: report.deniedPolicies), principal: intent.principal, limits: report))
        }
        if let (policy, cost, capacity) = charge.impossible {
            return .deny(
                Denial(
                    reason: .costExceedsCapacity(policy: policy, cost: cost, capacity: capacity),
                    principal: intent.principal, limits: report))
        }
        switch intent {
        case .grant(let entry): return .allow(Grant(to: entry, limits: report))
        case .refuse(let reason, let principal):
            return .deny(Denial(reason: reason, principal: principal, limits: report))
        }
    }

    func unavailable(_ detail: String) -> Decision {
        .deny(Denial(reason: .limiterUnavailable(detail: detail)))
    }
}

extension Charge {
    /// What an answer of the script says of this charge; nil where no such answer can be: as many numbers as buckets, and
    /// perhaps as many more as rates, none beyond what can be counted, and one without room where it denies. Others may have let
    /// more be owed than the bucket holds.
    fileprivate func verdict(of answer: [RedisReply]) -> AdmitVerdict? {
        guard answer.count > 1, let verdict = answer[1].integer.flatMap(AdmitVerdict.init) else { return nil }
        guard verdict.isAboutBuckets else { return verdict }
        guard answer.count == 2 + items.count || answer.count == 2 + items.count + rates else { return nil }
        var lacksRoom = false
        for (item, reply) in zip(items, answer[2...]) {
            guard let owed = reply.integer, 0...Int64(Limit.largestNumber) ~= owed else { return nil }
            if !item.isShadow, !item.hasRoom(beside: Int(owed)) { lacksRoom = true }
        }
        return lacksRoom || verdict == .admitted ? verdict : nil
    }
}

extension Charge.Item {
    /// Whether its cost fits beside what is owed.
    fileprivate func hasRoom(beside owed: Int) -> Bool {
        switch bucket.meter {
        case .nothing: false
        case .rate(let shape): shape.admits(cost: cost, backlog: owed)
        case .quota, .slots: cost == 0 || owed + cost <= bucket.capacity
        }
    }

    /// Less would be no reason to refuse it.
    fileprivate var leastOwedByARefusal: Int {
        switch bucket.meter {
        case .nothing: 0
        case .rate(let shape): shape.capacityUnits - shape.units(ofCost: cost) + 1
        case .quota, .slots: max(0, bucket.capacity - cost + 1)
        }
    }
}

extension Intent {
    var principal: Principal? {
        switch self {
        case .grant(let entry): entry?.principal
        case .refuse(_, let principal): principal
        }
    }
}
