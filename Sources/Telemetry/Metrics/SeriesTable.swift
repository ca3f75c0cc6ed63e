// SPDX-License-Identifier: Apache-2.0

/// Histograms by combinations of labels, each of which begins when it first counts; at most so many, beyond which a
/// combination counts as the one for all others.
///
/// Labels are packed into a key: on the way of a request there is no text, and nothing is allocated but where a combination
/// is met for the first time. Invariant: `places` finds every key of `keys`, by linear probing, and is at most half full.
package struct SeriesTable: Sendable {
    /// A combination has 17 series: 15 buckets, sum and count. So all have at most 2 000.
    package static let mostCombinations = 117
    /// Of those that callers make as they like: a flood of them must not push the others out for the life of the process.
    package static let mostMinor = mostCombinations / 2
    private static let placeCount = 256

    package let bounds: HistogramBounds
    private let other: UInt64
    private let isMinor: @Sendable (UInt64) -> Bool
    private var minorCount = 0
    private var keys: [UInt64] = []
    /// For each key its buckets, and the sum.
    private var cells: [Int] = []
    /// Places in `keys` from 1, 0 where there is none.
    private var places: [UInt8]

    /// - Parameters:
    ///   - other: the key for combinations beyond the bound.
    ///   - isMinor: whether a combination is one that any caller can make.
    package init(
        _ bounds: HistogramBounds, other: UInt64, isMinor: @escaping @Sendable (UInt64) -> Bool = { _ in false }
    ) {
        precondition(Self.mostCombinations < Self.placeCount / 2, "A table that is half full is slow")
        self.bounds = bounds
        self.other = other
        self.isMinor = isMinor
        places = Array(repeating: 0, count: Self.placeCount)
    }

    private var stride: Int { bounds.nanoseconds.count + 2 }

    package var count: Int { keys.count }

    package mutating func observe(nanoseconds value: Int64, of key: UInt64) {
        let value = max(0, Int(value))
        let start = index(of: key) * stride
        cells[start + bounds.bucket(of: value)] += 1
        cells[start + stride - 1] &+= value
    }

    /// In the order in which they were met.
    package var series: [(key: UInt64, histogram: Histogram)] {
        keys.enumerated().map { index, key in
            let start = index * stride
            let counts = Array(cells[start..<(start + stride - 1)])
            return (key, Histogram(bounds, counts: counts, sum: cells[start + stride - 1]))
        }
    }

    /// Adds what another table has counted; where this one is full, to the combination for all others.
    package mutating func add(_ table: SeriesTable) {
        for (key, histogram) in table.series {
            let start = index(of: key) * stride
            for (bucket, count) in histogram.counts.enumerated() { cells[start + bucket] += count }
            cells[start + stride - 1] &+= histogram.sum
        }
    }

    /// The same combinations, with nothing counted.
    package var emptied: SeriesTable {
        var table = self
        table.cells = Array(repeating: 0, count: cells.count)
        return table
    }

    private mutating func index(of key: UInt64) -> Int {
        var place = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 56)
        while places[place] != 0 {
            let index = Int(places[place]) - 1
            if keys[index] == key { return index }
            place = (place + 1) % Self.placeCount
        }
        // The last one is kept for all others.
        guard keys.count < Self.mostCombinations - 1 || key == other else { return index(of: other) }
        if key != other, isMinor(key) {
            guard minorCount < Self.mostMinor else { return index(of: other) }
            minorCount += 1
        }
        keys.append(key)
        cells.append(contentsOf: repeatElement(0, count: stride))
        places[place] = UInt8(keys.count)
        return keys.count - 1
    }
}
