// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
@testable import Limits

/// What is stored of a bucket, and what readers with other numbers make of it.
@Suite struct BucketStateTests {
    @Test func isThreeDoubles() {
        let state = BucketState(owed: 1, unitsPerToken: 1 << 52, writtenAt: 1_763_866_666_000_001)
        #expect(Array(state.packed[..<8]) == [0, 0, 0, 0, 0, 0, 0xF0, 0x3F])
        #expect(state.packed.count == 24)
        #expect(BucketState(packed: state.packed) == state)
        #expect(BucketState(packed: state.packed + [7]) == state)
        #expect(BucketState(packed: Array(state.packed.dropLast())) == nil)
    }

    @Test func keepsWhateverCanBeCounted() throws {
        var dice = Dice(seed: 41)
        for _ in 0..<10_000 {
            let state = BucketState(
                owed: dice.magnitude(upTo: 1 << 53), unitsPerToken: dice.magnitude(upTo: 1 << 53),
                writtenAt: dice.magnitude(upTo: 1 << 53))
            try #require(BucketState(packed: state.packed) == state)
        }
    }

    @Test(arguments: [
        [Double.nan, 1, 1], [1, .nan, 1], [1, 1, .nan], [.infinity, 1, 1], [0, 1, 1], [-1, 1, 1], [1, 0, 1],
        [1, 1, -1],
        [0x1p54, 1, 1], [1, 0x1p54, 1], [1, 1, 0x1p54],
    ])
    func otherNumbersAreNoState(numbers: [Double]) {
        let octets = numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } }
        #expect(BucketState(packed: octets) == nil)
    }

    /// Against exact arithmetic: never less than is owed, and hardly more: what leaks in three microseconds, and one part in
    /// 2^50.
    @Test func aConversionLosesNothing() throws {
        var dice = Dice(seed: 43)
        var (inexact, huge) = (0, 0)
        for _ in 0..<100_000 {
            let (writer, reader) = (dice.limit(), dice.limit())
            guard let from = try? BucketShape(writer), let to = try? BucketShape(reader) else { continue }
            let state = BucketState(
                owed: dice.magnitude(upTo: from.mostUnits(allowingDebt: true)), unitsPerToken: from.unitsPerToken,
                writtenAt: 1_763_866_666_000_000)
            let elapsed = dice.pause(reader)
            let found = state.owed(to: to, at: state.writtenAt + elapsed)
            let (unit, token) = (Int128(from.unitsPerToken), Int128(to.unitsPerToken))
            let whole = (Int128(state.owed) * token + unit - 1) / unit
            let exact = max(0, whole - Int128(max(0, elapsed)) * Int128(to.unitsPerMicrosecond))
            try #require(Int128(found) >= exact, "\(state) to \(to)")
            try #require(Int128(found) - exact <= 3 + (whole >> 50), "\(state) to \(to)")
            if Int128(found) != exact { inexact += 1 }
            if whole > 1 << 53 { huge += 1 }
        }
        #expect(inexact > 100 && huge > 100)
    }
}
