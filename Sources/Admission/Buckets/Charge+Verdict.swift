// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

extension Charge {
    /// What an answer of the script says of this charge; nil where no such answer can be: as many numbers as buckets, and
    /// perhaps as many more as rates, none beyond what can be counted, and one without room where it denies. Others may have let
    /// more be owed than the bucket holds.
    func verdict(of answer: [RedisReply]) -> AdmitVerdict? {
        guard answer.count > 1, let verdict = answer[1].integer.flatMap(AdmitVerdict.init) else { return nil }
        guard verdict.isAboutBuckets else { return verdict }
        guard answer.count == 2 + items.count || answer.count == 2 + items.count + rates else { return nil }
        var lacksRoom = false
        for index in items.indices {
            guard let owed = answer[2 + index].integer, 0...Int64(Limit.largestNumber) ~= owed else { return nil }
            if !items[index].isShadow, !items[index].hasRoom(beside: Int(owed)) { lacksRoom = true }
        }
        return lacksRoom || verdict == .admitted ? verdict : nil
    }
}

extension Charge.Item {
    /// Whether its cost fits beside what is owed.
    func hasRoom(beside owed: Int) -> Bool {
        switch bucket.meter {
        case .nothing: false
        case .rate(let shape): shape.admits(cost: cost, backlog: owed)
        case .quota, .slots: cost == 0 || owed + cost <= bucket.capacity
        }
    }

    /// Less would be no reason to refuse it.
    var leastOwedByARefusal: Int {
        switch bucket.meter {
        case .nothing: 0
        case .rate(let shape): shape.capacityUnits - shape.units(ofCost: cost) + 1
        case .quota, .slots: max(0, bucket.capacity - cost + 1)
        }
    }
}

extension Decision {
    /// What the buckets and the intent make together. A bucket that refuses speaks before all else.
    init(_ intent: Intent, _ charge: Charge, report: consuming LimitReport?) {
        if let denying = report?.deniedPolicies, !denying.isEmpty {
            self = .deny(
                Denial(reason: .rateLimited(policies: denying), principal: intent.principal, limits: report))
            return
        }
        if let (policy, cost, capacity) = charge.impossible {
            self = .deny(
                Denial(
                    reason: .costExceedsCapacity(policy: policy, cost: cost, capacity: capacity),
                    principal: intent.principal, limits: report))
            return
        }
        switch intent {
        case .grant(let entry): self = .allow(Grant(entry?.rights, limits: report))
        case .refuse(let reason, let principal):
            self = .deny(Denial(reason: reason, principal: principal, limits: report))
        }
    }

    static func unavailable(_ detail: String) -> Decision {
        .deny(Denial(reason: .limiterUnavailable(detail: detail)))
    }
}
