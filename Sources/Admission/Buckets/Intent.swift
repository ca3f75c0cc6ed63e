// SPDX-License-Identifier: Apache-2.0

import Keyspace

/// What the answer will be if the buckets have room.
enum Intent {
    /// To the ask's caller, as its record says it, or to nobody in particular.
    case grant
    /// With what the refusal rests on.
    indirect case refuse(Denial.Reason, Principal?, Confirmation?)

    func principal(of caller: Rights?) -> Principal? {
        switch self {
        case .grant: caller?.principal
        case .refuse(_, let principal, _): principal
        }
    }

    /// Nil where nothing depends on a record.
    func confirmation(of caller: KeyEntry?) -> Confirmation? {
        switch self {
        case .grant: caller.map { Confirmation(of: $0) }
        case .refuse(_, _, let confirmation): confirmation
        }
    }

    /// As of an instant of Redis' clock: a key that doesn't hold then may not hold for another reason than was estimated.
    func judged(at now: Int) -> Intent {
        guard case .refuse(let reason, let principal, let confirmation?) = self, confirmation.expectsOutside else {
            return self
        }
        return .refuse(confirmation.entry.refusal(at: now) ?? reason, principal, confirmation)
    }

    /// What the buckets and the intent make together. A bucket that refuses speaks before all else.
    ///
    /// - Parameter caller: whom a grant is to.
    func decision(to caller: consuming Rights?, _ charge: Charge, report: consuming LimitReport?) -> Decision {
        if let report, report.isDenial { return .deny(Denial(by: report, of: principal(of: caller))) }
        if let (policy, cost, capacity) = charge.impossible {
            return .deny(
                Denial(
                    reason: .costExceedsCapacity(policy: policy, cost: cost, capacity: capacity),
                    principal: principal(of: caller), limits: report))
        }
        switch self {
        case .grant: return .allow(Grant(caller, limits: report))
        case .refuse(let reason, let principal, _):
            return .deny(Denial(reason: reason, principal: principal, limits: report))
        }
    }
}
