// SPDX-License-Identifier: Apache-2.0

/// A bucket in this process: what Redis keeps of one, and the formulas of the script (docs/design.md §4).
///
/// 1. It serves `on_failure: local`, where each loop counts for itself while Redis is away.
/// 2. It is the oracle of the script: same steps, same answers.
///
/// Time is in microseconds of any clock that keeps one origin. It may go back: the backlog is then held at the capacity.
package struct TokenBucket: Sendable, Hashable {
    package let shape: BucketShape
    /// `rest` units are left at the instant `emptyAt`, and leak from then on; nil is a bucket never charged.
    private var state: (emptyAt: Int, rest: Int)?

    package init(_ shape: BucketShape) {
        self.shape = shape
    }

    /// A bucket as Redis holds it, `a` or `a n` in decimal; whatever else stands there counts as never charged, as it does
    /// to the script.
    package init(_ shape: BucketShape, stored: String?) {
        self.init(shape)
        guard let match = stored?.wholeMatch(of: /([0-9]+) ?([0-9]*)/), let emptyAt = Int(match.1) else { return }
        state = (emptyAt, Int(match.2) ?? 0)
    }

    /// Units owed at `now`. Where the clock went back, or the limit was lowered, that would pass the capacity: it is cut
    /// there and kept so, or the caller would wait for ever.
    package mutating func backlog(at now: Int) -> Int {
        guard let state else { return 0 }
        let (ahead, tooFar) = state.emptyAt.subtractingReportingOverflow(now)
        let (leaking, tooMuch) = ahead.multipliedReportingOverflow(by: shape.unitsPerMicrosecond)
        let (owed, past) = leaking.addingReportingOverflow(state.rest)
        guard !tooFar, !tooMuch, !past else {
            guard state.emptyAt > now else { return 0 }
            charge(to: shape.capacityUnits, at: now)
            return shape.capacityUnits
        }
        if owed > shape.capacityUnits { charge(to: shape.capacityUnits, at: now) }
        return min(max(0, owed), shape.capacityUnits)
    }

    /// Leaves `backlog` units owed at `now`.
    package mutating func charge(to backlog: Int, at now: Int) {
        let (wait, rest) = backlog.quotientAndRemainder(dividingBy: shape.unitsPerMicrosecond)
        state = (now + wait, rest)
    }

    /// Takes `cost` tokens if all are there, else nothing; cost 0 looks and always is admitted.
    ///
    /// - Returns: whether they were there, and the backlog after the decision.
    package mutating func take(_ cost: Int, at now: Int) -> (isAdmitted: Bool, backlog: Int) {
        let before = backlog(at: now)
        guard shape.admits(cost: cost, backlog: before) else { return (false, before) }
        guard cost > 0 else { return (true, before) }
        let after = before + shape.units(ofCost: cost)
        charge(to: after, at: now)
        return (true, after)
    }

    package static func == (one: Self, other: Self) -> Bool {
        one.shape == other.shape && one.state?.emptyAt == other.state?.emptyAt && one.state?.rest == other.state?.rest
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(shape)
        hasher.combine(state?.emptyAt)
        hasher.combine(state?.rest)
    }
}
