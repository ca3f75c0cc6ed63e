// SPDX-License-Identifier: Apache-2.0

/// A bucket in this process: what Redis keeps of one, and the formulas of the script (docs/design.md §4).
///
/// 1. It serves `on_failure: local`, where each loop counts for itself while Redis is away.
/// 2. It is the oracle of the script: same steps, same answers.
///
/// Time is in microseconds of any clock that keeps one origin. It may go back: the backlog is then held at the most there may be.
package struct TokenBucket: Sendable, Hashable {
    package let shape: BucketShape
    /// The most that is ever owed: the capacity, twice that where costs are known afterwards.
    package let mostUnits: Int
    /// `rest` units are left at the instant `emptyAt`, and leak from then on; nil is a bucket never charged.
    private var state: (emptyAt: Int, rest: Int)?

    package init(_ shape: BucketShape, allowsDebt: Bool = false) {
        self.shape = shape
        mostUnits = shape.mostUnits(allowingDebt: allowsDebt)
    }

    /// A bucket as Redis holds it, `a` or `a n` in decimal; whatever else stands there counts as never charged, as it does
    /// to the script.
    package init(_ shape: BucketShape, allowsDebt: Bool = false, stored: String?) {
        self.init(shape, allowsDebt: allowsDebt)
        guard let match = stored?.wholeMatch(of: /([0-9]+) ?([0-9]*)/), let emptyAt = Int(match.1) else { return }
        state = (emptyAt, Int(match.2) ?? 0)
    }

    /// Units owed at `now`. Where the clock went back, or the limit was lowered, that would pass the most there may be: it is cut
    /// there and kept so, or the caller would wait for ever.
    package mutating func backlog(at now: Int) -> Int {
        guard let state else { return 0 }
        let (ahead, tooFar) = state.emptyAt.subtractingReportingOverflow(now)
        let (leaking, tooMuch) = ahead.multipliedReportingOverflow(by: shape.unitsPerMicrosecond)
        let (owed, past) = leaking.addingReportingOverflow(state.rest)
        guard !tooFar, !tooMuch, !past else {
            guard state.emptyAt > now else { return 0 }
            charge(to: mostUnits, at: now)
            return mostUnits
        }
        if owed > mostUnits { charge(to: mostUnits, at: now) }
        return min(max(0, owed), mostUnits)
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

    /// Corrects what a request took at `t0` to another cost: more is added, up to the most there may be; less is given back
    /// as far as it can't have leaked meanwhile, or a bucket could be used twice in the same time. What leaked first was
    /// perhaps this request's, for what was owed before it may have been given back since; only what it keeps comes before.
    ///
    /// - Returns: the backlog after the correction.
    @discardableResult
    package mutating func correct(_ cost: Int, to trueCost: Int, takenAt t0: Int, at now: Int) -> Int {
        let before = backlog(at: now)
        let (old, new) = (shape.units(ofCost: cost), shape.units(ofCost: trueCost))
        let after: Int
        if new >= old {
            after = min(before + (new - old), mostUnits)
        } else {
            let (leaked, tooMuch) = max(0, now - t0).multipliedReportingOverflow(by: shape.unitsPerMicrosecond)
            let gone = tooMuch ? Int.max : max(0, leaked - new)
            after = max(0, before - max(0, old - new - gone))
        }
        // Nothing owed is nothing known, as in Redis: a clock that goes back makes no debt of it.
        if after > 0 { charge(to: after, at: now) } else { state = nil }
        return after
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
