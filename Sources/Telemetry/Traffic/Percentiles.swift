// SPDX-License-Identifier: Apache-2.0

/// How long half of all, and all but one in a hundred, took at most; in µs.
package struct Percentiles: Sendable, Equatable {
    package var p50: Int
    package var p99: Int

    package init(p50: Int, p99: Int) {
        self.p50 = p50
        self.p99 = p99
    }

    /// From a histogram: within a bucket, observations are taken to lie evenly, one alone in its middle.
    ///
    /// - Parameter range: of a bucket, in ns.
    /// - Returns: nil without an observation.
    init?(of counts: some Sequence<Int>, in range: (Int) -> Range<Int>) {
        let counts = Array(counts)
        let total = counts.reduce(0, +)
        guard total > 0 else { return nil }
        func quantile(_ hundredths: Int) -> Int {
            // The rank from 1, rounded up, so that of few the longest counts.
            let rank = (total * hundredths + 99) / 100
            var before = 0
            for (bucket, count) in counts.enumerated() where count > 0 {
                guard before + count < rank else {
                    let range = range(bucket)
                    let share = (Double(rank - before) - 0.5) / Double(count)
                    return (range.lowerBound + Int(Double(range.count) * share)) / 1_000
                }
                before += count
            }
            return 0
        }
        self.init(p50: quantile(50), p99: quantile(99))
    }
}

extension Histogram {
    /// Nil without an observation. Of the bucket beyond all bounds only its beginning is known.
    package var percentiles: Percentiles? {
        let ends = bounds.nanoseconds
        return Percentiles(of: counts) { bucket in
            let start = bucket == 0 ? 0 : ends[bucket - 1]
            return start..<(bucket < ends.count ? ends[bucket] : start + 1)
        }
    }

    /// What was counted since; this one is the later of the two.
    package func since(_ earlier: Histogram) -> Histogram {
        precondition(bounds == earlier.bounds, "Only histograms of the same buckets can be compared")
        return Histogram(bounds, counts: zip(counts, earlier.counts).map { $0 - $1 }, sum: sum &- earlier.sum)
    }
}
