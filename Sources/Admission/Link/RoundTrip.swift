// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Whether Redis is so far away that its answers leave requests too little of their time.
///
/// A question has a budget (`redis.timeout`), of which a quarter is for the way: what is left is for a fork, an fsync or
/// a busy machine. One sample says little, since either side may have been busy: three in a row count. They come from the
/// check of a new connection and from probes, so a request pays nothing for it.
struct RoundTrip {
    /// The part of the budget that the way may take.
    static let share: Int64 = 4
    /// In a row.
    static let manyEnough = 3

    private var beyond = 0
    /// Of those in a row, the one that was quickest.
    private(set) var shortest = TimeAmount.zero
    private(set) var isLong = false

    /// - Parameters:
    ///   - sample: from a question to its answer.
    ///   - budget: of a question.
    mutating func note(_ sample: TimeAmount, budget: TimeAmount) {
        guard sample.nanoseconds > budget.nanoseconds / Self.share else {
            self = RoundTrip()
            return
        }
        shortest = beyond == 0 ? sample : min(shortest, sample)
        beyond = min(beyond + 1, Self.manyEnough)
        isLong = beyond == Self.manyEnough
    }

    /// Another sample is wanted at once.
    var isInDoubt: Bool { 1..<Self.manyEnough ~= beyond }
}
