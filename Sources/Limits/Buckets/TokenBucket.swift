// SPDX-License-Identifier: Apache-2.0

/// A bucket in this process: what Redis keeps of one, and the formulas of the script (docs/design.md, "Limits").
///
/// 1. It serves `on_failure: local`, where each loop counts for itself while Redis is away.
/// 2. It is the oracle of the script: same steps, same answers.
///
/// Time is in microseconds of any clock that keeps one origin. It may go back: the same debt is then owed from there on.
package struct TokenBucket: Sendable, Hashable {
    package let shape: BucketShape
    /// The most that a correction may add up to: the capacity, twice that where costs are known afterwards. What others wrote
    /// may be more, and isn't cut.
    package let mostUnits: Int
    /// Nil is a bucket never charged.
    package private(set) var state: BucketState?

    /// - Parameter state: as Redis holds it, whoever wrote it.
    package init(_ shape: BucketShape, allowsDebt: Bool = false, state: BucketState? = nil) {
        self.shape = shape
        mostUnits = shape.mostUnits(allowingDebt: allowsDebt)
        self.state = state
    }

    /// Units owed at `now`, as they are told: at most 2^53.
    package mutating func backlog(at now: Int) -> Int {
        guard let state else { return 0 }
        if state.writtenAt > now {
            self.state = BucketState(owed: state.owed, unitsPerToken: state.unitsPerToken, writtenAt: now)
        }
        return Int(min(state.owed(to: shape, at: now), Double(Limit.largestNumber)))
    }

    /// Leaves `backlog` units owed at `now`.
    package mutating func charge(to backlog: Int, at now: Int) {
        state = BucketState(owed: backlog, unitsPerToken: shape.unitsPerToken, writtenAt: now)
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

    /// Corrects what a request took at `t0` to another cost: more is added, up to the most there may be, and what others let
    /// be owed beyond that stays; less is given back as far as it can't have leaked meanwhile, or a bucket could be used twice
    /// in the same time. What leaked first was perhaps this request's, for what was owed before it may have been given back
    /// since; only what it keeps comes before.
    ///
    /// - Returns: the backlog after the correction.
    @discardableResult
    package mutating func correct(_ cost: Int, to trueCost: Int, takenAt t0: Int, at now: Int) -> Int {
        let before = backlog(at: now)
        let (old, new) = (shape.units(ofCost: cost), shape.units(ofCost: trueCost))
        let after: Int
        if new >= old {
            after = max(before, min(before + (new - old), mostUnits))
        } else if before >= Limit.largestNumber {
            // More than these units can count: nothing can be taken from it without losing some.
            after = before
        } else {
            let (leaked, tooMuch) = max(0, now - t0).multipliedReportingOverflow(by: shape.unitsPerMicrosecond)
            let gone = tooMuch ? Int.max : max(0, leaked - new)
            after = max(0, before - max(0, old - new - gone))
        }
        // Nothing owed is nothing known, as in Redis: a clock that goes back makes no debt of it.
        if after == 0 { state = nil } else if after != before { charge(to: after, at: now) }
        return after
    }
}
