// SPDX-License-Identifier: Apache-2.0

import Limits
import TestSupport
import Testing

@Suite struct BucketShapeTests {
    @Test func reducesTheRateByItsCommonDivisor() throws {
        let shape = try BucketShape(Limit(count: 20, periodMicroseconds: 10_000_000))
        #expect(shape.unitsPerMicrosecond == 1)
        #expect(shape.unitsPerToken == 500_000)
        #expect(shape.capacityUnits == 10_000_000)
        #expect(shape.capacity == 20)
        #expect(!shape.isRounded)
    }

    @Test(arguments: [
        // 70 000 a second isn't a whole number of microseconds a call.
        (Limit(count: 70_000, periodMicroseconds: 1_000_000), 7, 100),
        (Limit(count: 30_000, periodMicroseconds: 1_000_000), 3, 100),
        (Limit(count: 5, periodMicroseconds: 60_000_000), 1, 12_000_000),
        (Limit(count: 7, periodMicroseconds: 1_000), 7, 1_000),
        // More than the whole bucket in a microsecond: what leaks is cut at the capacity, which changes no answer.
        (Limit(count: 5_000_000, periodMicroseconds: 1_000, burst: 2), 2, 1),
    ])
    func isExact(limit: Limit, leak: Int, token: Int) throws {
        let shape = try BucketShape(limit)
        #expect(shape.unitsPerMicrosecond == leak)
        #expect(shape.unitsPerToken == token)
        #expect(!shape.isRounded)
    }

    @Test func roundsDownBeyondWhatADoubleHolds() throws {
        // p = 10^6, B = 7·10^15: more than 2^53 / 3.
        let limit = Limit(count: 999_999, periodMicroseconds: 1_000_000, burst: 7_000_000_000)
        let shape = try BucketShape(limit)
        #expect(shape.isRounded)
        #expect(shape.unitsPerMicrosecond == Int(Int128(1 << 51) * 999_999 / 7_000_000_000_000_000))
        #expect(3 * shape.capacityUnits <= 1 << 53)
    }

    @Test func refusesWhatCannotBeCountedNamingTheLargestBurst() throws {
        let limit = Limit(count: 1, periodMicroseconds: 86_400_000_000, burst: 1_000_000)
        let largest = (1 << 53) / 3 / 86_400_000_000
        #expect(throws: LimitError.burstDoesNotFit(largest: largest)) { try BucketShape(limit) }
        #expect(largest == 34_749)
        #expect(throws: LimitError.rateDoesNotFit) {
            try BucketShape(Limit(count: 1, periodMicroseconds: 1 << 53))
        }
        #expect(LimitError.burstDoesNotFit(largest: 34_749).description.hasSuffix("exactly is 34749"))
    }

    @Test func hasNoBucketForALimitOfZero() {
        #expect(throws: LimitError.self) { try BucketShape(Limit(count: 0, periodMicroseconds: 1_000)) }
        #expect(throws: LimitError.self) { try BucketShape(Limit(count: 1, periodMicroseconds: 1_000, burst: 0)) }
    }

    /// The three invariants in the type's block, and that the burst named in a refusal is the largest.
    @Test func keepsItsInvariantsForAnyLimit() throws {
        var dice = Dice(seed: 1)
        var (refused, rounded) = (0, 0)
        for _ in 0..<200_000 {
            let limit = Limit(
                count: dice.magnitude(upTo: 1 << 53), periodMicroseconds: dice.magnitude(upTo: 1 << 53),
                burst: dice.magnitude(upTo: 1 << 53))
            do throws(LimitError) {
                let shape = try BucketShape(limit)
                rounded += shape.isRounded ? 1 : 0
                try requireInvariants(shape, limit)
            } catch {
                refused += 1
                try requireLargest(error, limit)
            }
        }
        #expect(refused > 1_000)
        #expect(rounded > 1_000)
    }

    private func requireInvariants(_ shape: BucketShape, _ limit: Limit) throws(LimitError) {
        let (leak, token) = (Int128(shape.unitsPerMicrosecond), Int128(shape.unitsPerToken))
        #expect(3 * Int128(shape.capacityUnits) <= 1 << 53)
        #expect(Int128(shape.capacityUnits) == Int128(limit.burst) * token)
        #expect(leak >= 1 && leak <= shape.capacityUnits)
        // leak / token ≤ count / period, or everything is gone in a microsecond either way.
        let (ours, exact) = (leak * Int128(limit.periodMicroseconds), Int128(limit.count) * token)
        #expect(ours <= exact)
        if !shape.isRounded { #expect(ours == exact || leak == shape.capacityUnits) }
    }

    private func requireLargest(_ error: LimitError, _ limit: Limit) throws {
        guard case .burstDoesNotFit(let largest) = error else {
            #expect(error == .rateDoesNotFit)
            #expect(throws: error) {
                try BucketShape(Limit(count: limit.count, periodMicroseconds: limit.periodMicroseconds, burst: 1))
            }
            return
        }
        #expect(largest < limit.burst)
        let (count, period) = (limit.count, limit.periodMicroseconds)
        _ = try BucketShape(Limit(count: count, periodMicroseconds: period, burst: largest))
        #expect(throws: error) { try BucketShape(Limit(count: count, periodMicroseconds: period, burst: largest + 1)) }
    }

    @Test func saysWhatABacklogMeans() throws {
        let shape = try BucketShape(Limit(count: 20, periodMicroseconds: 10_000_000))
        #expect(shape.remaining(backlog: 0) == 20)
        #expect(shape.remaining(backlog: 1) == 19)
        #expect(shape.remaining(backlog: 500_000) == 19)
        #expect(shape.remaining(backlog: 10_000_000) == 0)
        #expect(shape.resetMicroseconds(backlog: 500_000) == 500_000)
        #expect(shape.retryMicroseconds(backlog: 10_000_000, cost: 1) == 500_000)
        #expect(shape.retryMicroseconds(backlog: 9_500_000, cost: 1) == 0)
        #expect(shape.retryMicroseconds(backlog: 9_500_001, cost: 1) == 1)
        #expect(shape.retryMicroseconds(backlog: 10_000_000, cost: 0) == 0)
        #expect(shape.admits(cost: 1, backlog: 9_500_000))
        #expect(!shape.admits(cost: 1, backlog: 9_500_001))
        #expect(shape.admits(cost: 0, backlog: 10_000_000))
    }
}
