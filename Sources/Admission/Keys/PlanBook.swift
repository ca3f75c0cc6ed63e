// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// The plans that organizations seen by this loop are on: read when the first one is met, and again when their common
/// revision has changed, which is asked for every second (docs/design.md, "What is in Redis").
final class PlanBook {
    static let pollInterval = TimeAmount.seconds(1)

    private let store: Store
    /// By the policies in force: a reload changes them, and not what is known of the plans.
    var complaints: Complaints
    private var known: [String: LimitOverrides] = [:]
    /// Raised whenever one of them changes: what was worked out by an older one is worked out again.
    private(set) var generation = 0
    /// As last heard; nil before.
    private var revision: RedisReply?
    private var nextPoll = NIODeadline.uptimeNanoseconds(0)

    init(on store: Store, complaints: Complaints) {
        self.store = store
        self.complaints = complaints
    }

    /// To whoever has the plans.
    private var link: StoreLink { store.link(of: store.names.planRevision) }

    /// Nil where it was never read.
    func overrides(of plan: String) -> LimitOverrides? { known[plan] }

    /// Goes on when the plan's numbers are known, at once where they are.
    ///
    /// - Parameters:
    ///   - waiting: told whom it asks, before it does.
    ///   - then: told why they couldn't be read; nil where they are known.
    func with(_ plan: String?, waiting: (StoreLink) -> Void, _ then: @escaping (Absence?) -> Void) {
        guard let plan, known[plan] == nil else { return then(nil) }
        let link = self.link
        waiting(link)
        load(plan, from: link, then)
    }

    private func load(_ plan: String, from link: StoreLink, _ then: @escaping (Absence?) -> Void) {
        var call = RedisCommand(RedisScript.plan, keyCount: 2)
        call.append(store.names.planRevision)
        call.append(store.names.plan(plan))
        link.ask(call, before: link.eventLoop.now + link.timeout) { result in
            let answer: [RedisReply]
            switch link.hear(result, of: RedisScript.plan) {
            case .success(let elements) where elements.count == 3: answer = elements
            case .success: return then(.useless("no answer about the plan"))
            case .failure(let absence): return then(absence)
            }
            if self.revision == nil { self.revision = answer[1] }
            if let length = answer[2].integer {
                self.complaints.noteTooLong(plan: plan, length)
                return then(.useless("no answer about the plan"))
            }
            let overrides = LimitOverrides(parsing: answer[2].text ?? "")
            if answer[2] == .null { self.complaints.noteMissing(plan: plan) }
            self.complaints.noteMisfits(overrides, of: "plan \(plan)") { $0 == .org || $0 == .key }
            self.set(overrides, for: plan)
            then(nil)
        }
    }

    private func set(_ new: LimitOverrides, for plan: String) {
        guard known[plan] != new else { return }
        known[plan] = new
        generation += 1
    }

    /// To be called every tick.
    func poll(_ now: NIODeadline) {
        guard !known.isEmpty, now >= nextPoll, case let link = link, link.outage == nil else { return }
        nextPoll = now + Self.pollInterval
        var call = RedisCommand(RedisScript.plan, keyCount: 1)
        call.append(store.names.planRevision)
        link.send(call, before: now + link.timeout) { result in
            guard let answer = link.answer(result, of: RedisScript.plan), answer.count >= 2,
                answer[1] != self.revision
            else { return }
            // Before the plans themselves, so that a change in between is seen the next time.
            self.revision = answer[1]
            for plan in self.known.keys { self.load(plan, from: link) { if $0 != nil { self.revision = nil } } }
        }
    }
}
