// SPDX-License-Identifier: Apache-2.0

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
    /// - Parameter prepared: the question, where it was put together before.
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
            return finish(ask, decision(intent, charge, report: nil))
        }
        wait(ask)
        send(prepared ?? question(charge, confirmation, session), before: ask.deadline) { result in
            self.conclude(ask, charge, intent, confirmation, result)
        }
    }

    /// The script's keys and arguments (`admitScriptSource`).
    func question(_ charge: Charge, _ confirmation: Confirmation?, _ session: BoundSession?) -> RedisCommand {
        let keyCount = charge.items.count + (confirmation == nil ? 0 : 1) + (session == nil ? 0 : 1)
        var call = RedisCommand(Self.admitScript, keyCount: keyCount)
        if let entry = confirmation?.entry { call.append(bytes: entry.organization.key) }
        if let session { call.append(session.name) }
        for item in charge.items { call.append(bytes: item.bucket.name) }
        call.append(bytes: confirmation?.entry.organization.revision ?? [])
        if let entry = confirmation?.entry, entry.standingRefusal == nil {
            call.append(Int64(entry.record.validFrom))
            call.append(Int64(entry.record.validUntil))
        } else {
            // Nothing that depends on the clock.
            call.append(0)
            call.append(Int64(KeyRecord.never))
        }
        call.append(confirmation?.expectsOutside == true ? 0 : 1)
        call.append(session?.subject ?? "")
        for item in charge.items {
            call.append(Int64(item.shape.unitsPerMicrosecond))
            call.append(Int64(item.shape.capacityUnits))
            call.append(Int64(item.shape.units(ofCost: item.cost)))
        }
        return call
    }

    private func conclude(
        _ ask: Ask, _ charge: Charge, _ intent: Intent, _ confirmation: Confirmation?,
        _ result: Result<RedisReply, RedisError>
    ) {
        guard let answer = heard(result, by: CollectionOfOne(ask)) else { return }
        guard !ask.isDone else { return }
        if let outage { return decideWithoutRedis(ask, outage) }
        guard answer.count > 1, let now = answer[0].integer, let verdict = answer[1].integer.flatMap(AdmitVerdict.init),
            !verdict.isAboutBuckets || charge.canHave(answer[2...], isDenied: verdict == .denied)
        else { return decideWithoutRedis(ask, "unexpected answer of the script") }
        switch verdict {
        case .stale, .misjudged:
            guard let confirmation else { return decideWithoutRedis(ask, "unexpected answer of the script") }
            askAgain(ask, confirmation, after: verdict)
        case .foreign:
            // As much of a guess as a key that isn't one.
            settle(ask, addressCharge(ask), .refuse(.foreignSession, intent.principal))
        case .admitted, .denied:
            var intent = intent
            if let confirmation, confirmation.expectsOutside, case .refuse(let reason, let principal) = intent {
                intent = .refuse(confirmation.entry.refusal(at: Int(now)) ?? reason, principal)
            }
            let report = report(charge, answer[2...], at: Int(now), isDenied: verdict == .denied, ask)
            finish(ask, decision(intent, charge, report: report))
        }
    }

    private func askAgain(_ ask: Ask, _ confirmation: Confirmation, after verdict: AdmitVerdict) {
        guard let hash = ask.hash else { return decideWithoutRedis(ask, "no credential to ask again for") }
        if verdict == .stale {
            counters.stale += 1
            ask.staleAnswers += 1
            guard ask.staleAnswers < 2 else { return finish(ask, unavailable("the organization keeps changing")) }
            load(ask, confirmation.entry.pointer, hash)
        } else {
            // The clock has passed an end of validity since it was estimated; it may do so at both ends, not more.
            ask.misjudgements += 1
            guard ask.misjudgements < 3 else { return finish(ask, unavailable("Redis' clock jumps")) }
            judge(ask, confirmation.entry, isFresh: false, isOutside: !confirmation.expectsOutside)
        }
    }

    /// The report of an answer; what was refused is remembered.
    private func report(
        _ charge: Charge, _ backlogs: ArraySlice<RedisReply>, at now: Int, isDenied: Bool, _ ask: Ask
    ) -> LimitReport? {
        let answeredAt = isDenied ? eventLoop.now : ask.startedAt
        let statuses = zip(charge.items, backlogs).map { item, reply in
            let backlog = Int(reply.integer ?? 0)
            let isRefused = isDenied && !item.shape.admits(cost: item.cost, backlog: backlog)
            if isDenied {
                item.bucket.see(backlog, at: now)
                if isRefused {
                    item.bucket.refuse(
                        item.cost, forMicroseconds: item.shape.retryMicroseconds(backlog: backlog, cost: item.cost),
                        askedAt: ask.startedAt, answeredAt: answeredAt)
                }
            }
            return LimitStatus(
                policy: item.bucket.policy, limit: item.bucket.limit, shape: item.shape, cost: item.cost,
                backlog: backlog, isDenied: isRefused)
        }
        return LimitReport(at: now, statuses, of: charge)
    }

    /// A denial that needs no asking, because a bucket's wait isn't over. What the others hold is taken from their last
    /// answer.
    private func rememberedRefusal(_ charge: Charge, _ intent: Intent) -> Denial? {
        guard charge.items.contains(where: { $0.bucket.refusal != nil }) else { return nil }
        let now = eventLoop.now
        let waits = charge.items.map { $0.bucket.refusedMicroseconds($0.cost, at: now) }
        guard waits.contains(where: { $0 != nil }) else { return nil }
        let time = redisTime
        let statuses = zip(charge.items, waits).compactMap { item, wait -> LimitStatus? in
            guard let backlog = item.bucket.lastSeen?.backlog(at: time) else { return nil }
            // Both clocks are estimates: a bucket still refused has less than the cost, whatever they say.
            let least = wait == nil ? 0 : item.shape.capacityUnits - item.shape.units(ofCost: item.cost) + 1
            var status = LimitStatus(
                policy: item.bucket.policy, limit: item.bucket.limit, shape: item.shape, cost: item.cost,
                backlog: max(backlog, least), isDenied: wait != nil)
            if let wait { status.retryAfterMicroseconds = Int64(wait) }
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

    func unavailable(_ detail: String, _ principal: Principal? = nil) -> Decision {
        .deny(Denial(reason: .limiterUnavailable(detail: detail), principal: principal))
    }
}

extension Charge {
    /// Whether these can be the backlogs of its buckets: as many, none beyond its bucket, and one without room for a denial.
    fileprivate func canHave(_ backlogs: ArraySlice<RedisReply>, isDenied: Bool) -> Bool {
        guard backlogs.count == items.count else { return false }
        var lacksRoom = false
        for (item, reply) in zip(items, backlogs) {
            guard let backlog = reply.integer, 0...Int64(item.shape.capacityUnits) ~= backlog else { return false }
            if !item.shape.admits(cost: item.cost, backlog: Int(backlog)) { lacksRoom = true }
        }
        return lacksRoom || !isDenied
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
