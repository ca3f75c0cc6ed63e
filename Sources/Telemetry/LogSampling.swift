// SPDX-License-Identifier: Apache-2.0

/// How many of the ordinary lines of the access log are written: `log.sample`.
///
/// A line that is written stands for as many as its weight says, so that sums over the weights come out as without sampling.
package struct LogSampling: Sendable, Equatable {
    /// All of them, and nothing is drawn.
    package static let all = LogSampling(share: whole)

    /// What a share is counted in: hundredths of a per cent.
    package static let whole = 10_000

    /// What was drawn for one request; both lines of a stream go by it.
    package enum Fate: Sendable, Equatable {
        /// Written like all others, without a weight.
        case written
        /// Written for those that aren't, with this weight in thousandths.
        case chosen(weight: Int)
        case left
    }

    private let share: UInt64
    /// In thousandths.
    private let weight: Int

    /// - Parameter share: of ``whole``; more than all is all, and at least one line in ten thousand is written.
    package init(share: Int) {
        let bounded = min(max(share, 1), Self.whole)
        self.share = UInt64(bounded)
        weight = (Self.whole * 1_000 + bounded / 2) / bounded
    }

    /// - Parameter random: asked only where not all are written.
    func draw(_ random: inout Xoshiro256) -> Fate {
        guard share < UInt64(Self.whole) else { return .written }
        // Of 32 bits, each share is met to within a 400 000th of itself.
        return ((random.next() &>> 32) &* UInt64(Self.whole)) &>> 32 < share ? .chosen(weight: weight) : .left
    }
}
