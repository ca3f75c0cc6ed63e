// SPDX-License-Identifier: Apache-2.0

/// What is kept of a token bucket: how much was owed when, in units of whoever wrote it. Any numbers can read it: nothing in it
/// depends on the writer's rate or capacity (docs/decisions/0011-state-of-a-bucket.md).
///
/// In Redis three little-endian doubles, `struct.pack('<ddd', …)`. A longer value begins with them; a shorter one is none.
package struct BucketState: Sendable, Hashable {
    /// Whole units, at most 2^53.
    package let owed: Int
    /// Units that are one token to the writer.
    package let unitsPerToken: Int
    /// Microseconds.
    let writtenAt: Int

    package init(owed: Int, unitsPerToken: Int, writtenAt: Int) {
        self.owed = owed
        self.unitsPerToken = unitsPerToken
        self.writtenAt = writtenAt
    }

    /// Nil where the script sees none either.
    package init?(packed: [UInt8]) {
        guard packed.count >= 24 else { return nil }
        let numbers = (0..<3).map { place in
            Double(bitPattern: (0..<8).reduce(0) { $0 | UInt64(packed[8 * place + $1]) << (8 * $1) })
        }
        guard Self.range ~= numbers[0], Self.range ~= numbers[1], 0...Self.range.upperBound ~= numbers[2] else {
            return nil
        }
        self.init(owed: Int(numbers[0]), unitsPerToken: Int(numbers[1]), writtenAt: Int(numbers[2]))
    }

    package var packed: [UInt8] {
        [owed, unitsPerToken, writtenAt].flatMap { number in
            withUnsafeBytes(of: Double(number).bitPattern.littleEndian) { Array($0) }
        }
    }

    private static let range = 1...Double(Limit.largestNumber)

    /// Units that a reader of this shape finds owed at `now`: converted, rounded up, less what has leaked by its own rate. Where
    /// the writing lies in the future nothing has.
    ///
    /// In doubles, as the script computes it: whole and exact up to 2^53, beyond that never less than it is (`owes` in
    /// `bucketSource`).
    package func owed(to shape: BucketShape, at now: Int) -> Double {
        let leaked = (Double(now) - Double(writtenAt)) * Double(shape.unitsPerMicrosecond)
        return max(0, converted(to: Double(shape.unitsPerToken)) - max(0, leaked))
    }

    private func converted(to token: Double) -> Double {
        let (owed, unit) = (Double(owed), Double(unitsPerToken))
        guard unit != token else { return owed }
        let rest = owed.truncatingRemainder(dividingBy: unit)
        let product = rest * token
        let part = product <= Self.range.upperBound ? product / unit : product / unit * Self.upward
        let all = (owed - rest) / unit * token + part.rounded(.up)
        return all <= Self.range.upperBound ? all : all * Self.upward
    }

    /// More than three roundings take away.
    private static let upward = 1 + 0x1p-51
}
