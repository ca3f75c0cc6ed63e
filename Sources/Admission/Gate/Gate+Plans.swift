// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Logging
import NIOCore
import Redis

/// The plans that organizations seen by this loop are on: read when the first one is met, and again when their common
/// revision has changed, which is asked for every second (docs/design.md §4).
struct Plans {
    static let pollInterval = TimeAmount.seconds(1)

    private(set) var overrides: [String: LimitOverrides] = [:]
    /// Raised whenever one of them changes: what was worked out by an older one is worked out again.
    private(set) var generation = 0
    /// As last heard; nil before.
    var revision: RedisReply?
    var nextPoll = NIODeadline.uptimeNanoseconds(0)

    mutating func set(_ new: LimitOverrides, for plan: String) {
        guard overrides[plan] != new else { return }
        overrides[plan] = new
        generation += 1
    }
}

extension Gate {
    /// Goes on when the plan's numbers are known, at once where they are.
    ///
    /// - Parameter then: false where they couldn't be read.
    func withPlan(_ plan: String?, _ then: @escaping (Bool) -> Void) {
        guard let plan, plans.overrides[plan] == nil else { return then(true) }
        loadPlan(plan, then)
    }

    private func loadPlan(_ plan: String, _ then: @escaping (Bool) -> Void) {
        var call = RedisCommand(Self.planScript, keyCount: 2)
        call.append(names.planRevision)
        call.append(names.plan(plan))
        send(call, before: eventLoop.now + configuration.timeout) { result in
            guard let answer = self.heard(result, of: Self.planScript), answer.count == 3 else { return then(false) }
            if self.plans.revision == nil { self.plans.revision = answer[1] }
            if let length = answer[2].integer {
                self.complaints.once("length of plan \(plan)") {
                    self.logger.error(
                        "plan refused: too long",
                        metadata: [
                            "plan": "\(plan)", "octets": "\(length)", "octets.most": "\(RecordBounds.rules)",
                        ])
                }
                return then(false)
            }
            let isMissing = answer[2] == .null
            let overrides = LimitOverrides(parsing: answer[2].text ?? "")
            if isMissing {
                self.complaints.once("plan \(plan)") {
                    self.logger.warning("no such plan: going by the configuration", metadata: ["plan": "\(plan)"])
                }
            }
            self.noteMisfits(overrides, of: "plan \(plan)") { $0 == .org || $0 == .key }
            self.plans.set(overrides, for: plan)
            then(true)
        }
    }

    /// To be called every tick.
    func pollPlans(_ now: NIODeadline) {
        guard !plans.overrides.isEmpty, now >= plans.nextPoll, outage == nil else { return }
        plans.nextPoll = now + Plans.pollInterval
        var call = RedisCommand(Self.planScript, keyCount: 1)
        call.append(names.planRevision)
        send(call, before: now + configuration.timeout) { result in
            guard let answer = self.heard(result, of: Self.planScript), answer.count >= 2,
                answer[1] != self.plans.revision
            else { return }
            // Before the plans themselves, so that a change in between is seen the next time.
            self.plans.revision = answer[1]
            for plan in self.plans.overrides.keys { self.loadPlan(plan) { if !$0 { self.plans.revision = nil } } }
        }
    }
}
