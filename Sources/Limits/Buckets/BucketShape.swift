// SPDX-License-Identifier: Apache-2.0

/// The whole numbers a token bucket is counted in: one token is `unitsPerToken`, `unitsPerMicrosecond` leak away, and
/// `capacityUnits` fit in. Redis' script and the in-process bucket compute with the same three (docs/design.md, "Limits").
///
/// Invariants, from which it follows that a double (all that Lua has) holds every intermediate result exactly:
/// 1. `3 · capacityUnits ≤ 2^53`: backlog, debt and cost together stay whole.
/// 2. `1 ≤ unitsPerMicrosecond ≤ capacityUnits`: a bucket is empty again within `capacityUnits` microseconds (95 years),
///    so an instant plus that stays below 2^53 microseconds until the year 2160.
/// 3. `unitsPerMicrosecond / unitsPerToken ≤ count / period`: never more is admitted than the limit says. Equal unless
///    `isRounded`.
package struct BucketShape: Sendable, Hashable {
    package let unitsPerToken: Int
    package let unitsPerMicrosecond: Int
    package let capacityUnits: Int
    /// Tokens.
    package let capacity: Int
    /// True where the exact numbers would pass 2^53 and the rate was rounded down, by less than one part in 2^51 / burst.
    package let isRounded: Bool

    /// A third of what a double counts exactly.
    private static let bound = (1 << 53) / 3
    private static let roundedBound = 1 << 51

    /// Refuses a bucket that can't be counted exactly, telling the largest burst that can. A limit or burst of 0 has no
    /// bucket and is refused as impossible: callers leave it out and deny.
    package init(_ limit: Limit) throws(LimitError) {
        let (count, period, burst) = (limit.count, limit.periodMicroseconds, limit.burst)
        guard count > 0, period > 0, burst > 0 else {
            throw .impossible("a bucket needs a limit, a period and a burst")
        }
        let divisor = greatestCommonDivisor(count, period)
        let exactCapacity = Int128(burst) * Int128(period / divisor)
        if exactCapacity <= Int128(Self.bound) {
            self.init(leak: count / divisor, token: period / divisor, burst: burst, isRounded: false)
            return
        }
        let leak = Int128(Self.roundedBound) * Int128(count) / (Int128(burst) * Int128(period))
        guard leak >= 1, burst <= Self.roundedBound / 3 else {
            let largest = Self.largestBurst(count: count, period: period, divisor: divisor)
            throw largest > 0 ? .burstDoesNotFit(largest: largest) : .rateDoesNotFit
        }
        // Rounded up, so that a token never costs less time than it should. At most 2^51 + burst units in all.
        let token = (Int128(period) * leak + Int128(count) - 1) / Int128(count)
        self.init(
            leak: Int(clamping: leak), token: Int(clamping: token), burst: burst,
            isRounded: token * Int128(count) != Int128(period) * leak)
    }

    /// So many tokens a second, at most a million, and as many at once unless told otherwise.
    package init(perSecond count: Int, burst: Int? = nil) {
        precondition((1...1_000_000).contains(count), "A rate that needs no rounding")
        let divisor = greatestCommonDivisor(count, 1_000_000)
        self.init(leak: count / divisor, token: 1_000_000 / divisor, burst: burst ?? count, isRounded: false)
    }

    private init(leak: Int, token: Int, burst: Int, isRounded: Bool) {
        unitsPerToken = token
        capacityUnits = burst * token
        // What leaks faster than everything in a microsecond is empty after one, whatever the number.
        unitsPerMicrosecond = min(leak, capacityUnits)
        capacity = burst
        self.isRounded = isRounded
    }

    /// Whichever form reaches further: the exact one while `burst · p` fits, the rounded one while its leak is at least 1.
    private static func largestBurst(count: Int, period: Int, divisor: Int) -> Int {
        let exact = bound / (period / divisor)
        let rounded = Int128(roundedBound) * Int128(count) / Int128(period)
        return max(exact, Int(min(rounded, Int128(roundedBound / 3))))
    }
}

private func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
    var (larger, smaller) = (first, second)
    while smaller != 0 { (larger, smaller) = (smaller, larger % smaller) }
    return larger
}

// MARK: - What a backlog means

extension BucketShape {
    package func units(ofCost cost: Int) -> Int {
        // A cost above the capacity is refused before it gets here; saturating keeps a mistake from trapping.
        let (units, overflow) = cost.multipliedReportingOverflow(by: unitsPerToken)
        return overflow ? .max / 4 : units
    }

    /// The most that may be owed; the debt of a whole capacity is what the bound of a third leaves room for.
    package func mostUnits(allowingDebt: Bool) -> Int {
        allowingDebt ? 2 * capacityUnits : capacityUnits
    }

    /// Whole tokens left.
    package func remaining(backlog: Int) -> Int {
        max(0, capacityUnits - backlog) / unitsPerToken
    }

    /// Until the bucket is full again: nothing owed.
    package func resetMicroseconds(backlog: Int) -> Int {
        leakMicroseconds(max(0, backlog))
    }

    /// Until a call of `cost` is admitted; 0 where it is now.
    package func retryMicroseconds(backlog: Int, cost: Int) -> Int {
        cost == 0 ? 0 : leakMicroseconds(max(0, backlog + units(ofCost: cost) - capacityUnits))
    }

    package func admits(cost: Int, backlog: Int) -> Bool {
        cost == 0 || backlog + units(ofCost: cost) <= capacityUnits
    }

    /// How long so many units take to leak.
    package func leakMicroseconds(_ units: Int) -> Int {
        (units + unitsPerMicrosecond - 1) / unitsPerMicrosecond
    }
}
