// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

extension Charge {
    /// What an answer of the script says of this charge; nil where no such answer can be: as many numbers as buckets, and
    /// perhaps as many more as rates, none beyond what can be counted, and one without room where it denies. Others may have let
    /// more be owed than the bucket holds.
    func verdict(of answer: AdmitAnswer) -> AdmitVerdict? {
        let verdict = answer.verdict
        guard let verdict, verdict.isAboutBuckets else { return verdict }
        guard answer.count == 2 + items.count || answer.count == 2 + items.count + rates else { return nil }
        var lacksRoom = false
        for index in items.indices {
            guard let owed = answer[2 + index], 0...Limit.largestNumber ~= owed else { return nil }
            if case .denied = verdict, !items[index].isShadow, !items[index].hasRoom(beside: owed) { lacksRoom = true }
        }
        if case .denied = verdict, !lacksRoom { return nil }
        return verdict
    }
}

extension AdmitAnswer {
    /// To be asked where the verdict is about buckets.
    func owed(ofItem index: Int) -> Int { self[2 + index] ?? 0 }

    /// Microseconds until the state of a charge's item expires, if that is before all that is owed has leaked by the item's
    /// own rate. Nil as well where the answer has no number that can be counted with.
    func expiry(ofItem index: Int, _ charge: Charge) -> Int? {
        let place = 2 + charge.items.count + index
        guard place < count, let expiry = self[place], 1...KeyRecord.never ~= expiry else { return nil }
        return expiry
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

extension Intent {
    /// What the buckets and the intent make together. A bucket that refuses speaks before all else.
    ///
    /// - Parameter caller: whom a grant is to.
    func decision(to caller: KeyEntry?, _ charge: Charge, report: consuming LimitReport?) -> Decision {
        if let denying = report?.deniedPolicies, !denying.isEmpty {
            return .deny(
                Denial(reason: .rateLimited(policies: denying), principal: principal(of: caller), limits: report))
        }
        if let (policy, cost, capacity) = charge.impossible {
            return .deny(
                Denial(
                    reason: .costExceedsCapacity(policy: policy, cost: cost, capacity: capacity),
                    principal: principal(of: caller), limits: report))
        }
        switch self {
        case .grant: return .allow(Grant(caller?.rights, limits: report))
        case .refuse(let reason, let principal, _):
            return .deny(Denial(reason: reason, principal: principal, limits: report))
        }
    }
}

extension Decision {
    static func unavailable(_ detail: String) -> Decision {
        .deny(Denial(reason: .limiterUnavailable(detail: detail)))
    }
}
