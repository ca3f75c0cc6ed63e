// SPDX-License-Identifier: Apache-2.0

package import Limits

/// The oracle: a token bucket in exact rational arithmetic, written from the definition alone.
///
/// A level is a fraction of tokens over the period in microseconds, so one token is `period` parts, `count` parts leak a
/// microsecond, and nothing is ever rounded. Where the clock goes back, the level is the same from there on.
package struct ExactBucket {
    package let limit: Limit
    private var level: Int128 = 0
    private var instant: Int128 = 0

    package init(_ limit: Limit) {
        self.limit = limit
    }

    private var capacity: Int128 { Int128(limit.burst) * Int128(limit.periodMicroseconds) }

    package mutating func level(at now: Int) -> Int128 {
        instant = min(instant, Int128(now))
        return max(0, level - (Int128(now) - instant) * Int128(limit.count))
    }

    package mutating func set(_ level: Int128, at now: Int) {
        self.level = level
        instant = Int128(now)
    }

    package mutating func admits(_ cost: Int, at now: Int) -> Bool {
        cost == 0 || level(at: now) + Int128(cost) * Int128(limit.periodMicroseconds) <= capacity
    }

    package mutating func charge(_ cost: Int, at now: Int) {
        if cost > 0 { set(level(at: now) + Int128(cost) * Int128(limit.periodMicroseconds), at: now) }
    }

    package mutating func take(_ cost: Int, at now: Int) -> Bool {
        guard admits(cost, at: now) else { return false }
        charge(cost, at: now)
        return true
    }

    package mutating func remaining(at now: Int) -> Int {
        Int(max(0, capacity - level(at: now)) / Int128(limit.periodMicroseconds))
    }

    package mutating func retryMicroseconds(_ cost: Int, at now: Int) -> Int {
        let over = level(at: now) + Int128(cost) * Int128(limit.periodMicroseconds) - capacity
        return cost == 0 || over <= 0 ? 0 : Int((over + Int128(limit.count) - 1) / Int128(limit.count))
    }

    package mutating func resetMicroseconds(at now: Int) -> Int {
        Int((level(at: now) + Int128(limit.count) - 1) / Int128(limit.count))
    }
}

/// Random limits, costs and pauses of the sizes that matter.
package struct Dice: RandomNumberGenerator {
    private var random: SplitMix

    package init(seed: UInt64) {
        random = SplitMix(seed: seed)
    }

    package mutating func next() -> UInt64 {
        random.next()
    }

    /// Any size is as likely as any other: 3, 40 and 50 000 000 come up alike.
    package mutating func magnitude(upTo most: Int) -> Int {
        let bits = Int.random(in: 1...(Int.bitWidth - most.leadingZeroBitCount), using: &self)
        return min(most, max(1, Int.random(in: 0..<(1 << bits), using: &self)))
    }

    package mutating func limit() -> Limit {
        let units = [1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000]
        let period = (units.randomElement(using: &self) ?? 1_000) * Int.random(in: 1...60, using: &self)
        return Limit(
            count: magnitude(upTo: 1_000_000), periodMicroseconds: period, burst: magnitude(upTo: 1_000_000))
    }

    /// An elapsed time that matters to the bucket: from nothing to somewhat more than it needs to refill.
    package mutating func pause(_ limit: Limit) -> Int {
        let token = max(1, limit.periodMicroseconds / limit.count)
        let refill = limit.burst.multipliedReportingOverflow(by: token)
        return switch Int.random(in: 0..<10, using: &self) {
        case 0: 0
        case 1...5: Int.random(in: 0...(2 * token), using: &self)
        case 6...7: magnitude(upTo: refill.overflow ? 1 << 50 : min(1 << 50, max(1, refill.partialValue)))
        case 8: -Int.random(in: 0...(3 * token), using: &self)
        default: Int.random(in: 0...9, using: &self)
        }
    }
}
