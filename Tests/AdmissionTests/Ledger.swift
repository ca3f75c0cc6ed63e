// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Admission
@testable import Limits

/// Who asked one bucket when, by which limit, and what was admitted: enough to judge whether all of them together kept the bound.
///
/// The bound: in any window in which the clock moves forward by t in all, at most the largest burst and the highest rate times
/// t, of the limits by which somebody asked in it.
struct Ledger {
    private struct Entry {
        var limit: Limit
        var admitted: Int
        /// How far the clock has gone forward since the beginning, in µs.
        var forward: Int
    }

    private var entries: [Entry] = []
    private var last: Int?
    private var forward = 0

    /// - Parameter admitted: tokens; 0 where somebody was denied, or only looked.
    mutating func note(_ limit: Limit, admitted: Int, at now: Int) {
        forward += max(0, now - (last ?? now))
        last = now
        entries.append(Entry(limit: limit, admitted: admitted, forward: forward))
    }

    var admitted: Int { entries.reduce(0) { $0 + $1.admitted } }

    /// Tokens beyond the bound in the worst window, rounded up.
    var worstExcess: Int {
        var worst = 0
        for (index, first) in entries.enumerated() where first.admitted > 0 {
            var (sum, burst, rate) = (0, 0, first.limit)
            for entry in entries[index...] {
                burst = max(burst, entry.limit.burst)
                if entry.limit.isFaster(than: rate) { rate = entry.limit }
                guard entry.admitted > 0 else { continue }
                sum += entry.admitted
                guard sum > burst else { continue }
                let gained = Int128(rate.count) * Int128(entry.forward - first.forward)
                let excess = Int128(sum - burst) * Int128(rate.periodMicroseconds) - gained
                guard excess > 0 else { continue }
                worst = max(worst, Int(excess / Int128(rate.periodMicroseconds)) + 1)
            }
        }
        return worst
    }
}

extension Limit {
    fileprivate func isFaster(than other: Limit) -> Bool {
        Int128(count) * Int128(other.periodMicroseconds) > Int128(other.count) * Int128(periodMicroseconds)
    }
}
