// SPDX-License-Identifier: Apache-2.0

import Keyspace

/// What the answer will be if the buckets have room.
enum Intent {
    /// To the ask's caller, as its record says it, or to nobody in particular.
    case grant
    /// With what the refusal rests on.
    indirect case refuse(Denial.Reason, Principal?, Confirmation?)

    func principal(of caller: KeyEntry?) -> Principal? {
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
}

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
