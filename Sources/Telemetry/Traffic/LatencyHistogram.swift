// SPDX-License-Identifier: Apache-2.0

/// How often what took how long, in 88 buckets from 16 µs to 137 s, four to each doubling: a quantile is good to an eighth.
///
/// It is counted in place and emptied each second, so its room is allocated once.
package struct LatencyHistogram: Sendable, Equatable {
    /// 2^14 ns = 16.4 µs.
    private static let unit = 14
    static let bucketCount = 88

    private var counts = [UInt32](repeating: 0, count: Self.bucketCount)
    package private(set) var count = 0

    package init() {}

    package mutating func observe(nanoseconds value: Int64) {
        counts[Self.bucket(of: value)] &+= 1
        count += 1
    }

    mutating func empty() {
        guard count > 0 else { return }
        for bucket in counts.indices { counts[bucket] = 0 }
        count = 0
    }

    static func += (sum: inout LatencyHistogram, other: LatencyHistogram) {
        guard other.count > 0 else { return }
        for bucket in sum.counts.indices { sum.counts[bucket] &+= other.counts[bucket] }
        sum.count += other.count
    }

    /// What is longer than all counts in the last one; a clock that was set back counts as no time.
    static func bucket(of nanoseconds: Int64) -> Int {
        let units = UInt64(max(0, nanoseconds)) >> UInt64(unit)
        guard units >= 4 else { return Int(units) }
        let octave = 63 - units.leadingZeroBitCount
        return min(bucketCount - 1, (octave - 1) * 4 + Int(units >> UInt64(octave - 2) & 3))
    }

    /// Where a bucket begins, in ns.
    static func start(of bucket: Int) -> Int {
        guard bucket >= 4 else { return bucket << unit }
        let octave = bucket / 4 + 1
        return (4 + bucket % 4) << (octave - 2 + unit)
    }

    /// Nil without an observation.
    package var percentiles: Percentiles? {
        Percentiles(of: counts.lazy.map(Int.init)) { Self.start(of: $0)..<Self.start(of: $0 + 1) }
    }
}
