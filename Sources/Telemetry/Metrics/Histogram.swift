// SPDX-License-Identifier: Apache-2.0

/// Upper bounds of a histogram's buckets.
package struct HistogramBounds: Sendable, Hashable {
    /// Ascending; an observation belongs to the first that it isn't beyond.
    package let nanoseconds: [Int]

    package init(milliseconds: [Int]) {
        nanoseconds = milliseconds.map { $0 * 1_000_000 }
    }

    package init(microseconds: [Int]) {
        nanoseconds = microseconds.map { $0 * 1_000 }
    }

    /// As OpenTelemetry has them for `http.server.request.duration`.
    package static let ofRequests = HistogramBounds(
        milliseconds: [5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000])
    /// As OpenTelemetry has them for `mcp.server.operation.duration`.
    package static let ofOperations = HistogramBounds(
        milliseconds: [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000])
    /// Of what a request goes through: 50 µs to 5 s.
    package static let ofParts = HistogramBounds(
        microseconds: [
            50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
            2_500_000, 5_000_000,
        ])

    /// Which bucket counts it; one beyond all is the last.
    package func bucket(of value: Int) -> Int {
        var bucket = 0
        while bucket < nanoseconds.count, value > nanoseconds[bucket] { bucket += 1 }
        return bucket
    }
}

/// How often what took how long: plain integers, counted on one loop.
package struct Histogram: Sendable, Hashable {
    package let bounds: HistogramBounds
    /// By bucket, the one beyond all bounds last; not cumulated.
    package private(set) var counts: [Int]
    /// In nanoseconds.
    package private(set) var sum = 0

    package init(_ bounds: HistogramBounds) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.nanoseconds.count + 1)
    }

    init(_ bounds: HistogramBounds, counts: [Int], sum: Int) {
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }

    package var count: Int { counts.reduce(0, +) }

    /// A clock that was set back counts as no time.
    package mutating func observe(nanoseconds value: Int64) {
        let value = max(0, Int(value))
        counts[bounds.bucket(of: value)] += 1
        sum &+= value
    }

    package static func += (sum: inout Histogram, other: Histogram) {
        precondition(sum.bounds == other.bounds, "Only histograms of the same buckets can be added")
        for bucket in sum.counts.indices { sum.counts[bucket] += other.counts[bucket] }
        sum.sum &+= other.sum
    }
}
