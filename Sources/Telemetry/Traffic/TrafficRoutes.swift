// SPDX-License-Identifier: Apache-2.0

/// Requests of one second by route: at most 64, the rest counted together. Rows keep their room from one second to the next.
struct TrafficRoutes: Sendable {
    static let most = 64

    struct Row: Sendable {
        var requests = 0
        var denied = 0
        var durations = LatencyHistogram()
    }

    /// As ``LabelNames`` number them; the first so many rows are theirs.
    private var labels: [Int] = []
    private var rows: [Row] = []

    var isEmpty: Bool { labels.isEmpty }

    /// In the order in which they were met.
    var all: [(label: Int, row: Row)] { zip(labels, rows).map { (label: $0, row: $1) } }

    /// - Parameter nanoseconds: nil where its time tells nothing.
    mutating func count(_ outcome: TrafficOutcome, of label: Int, nanoseconds: Int64?) {
        let index = index(of: label)
        rows[index].requests += 1
        if outcome == .denied { rows[index].denied += 1 }
        if let nanoseconds { rows[index].durations.observe(nanoseconds: nanoseconds) }
    }

    mutating func empty() {
        for index in labels.indices {
            rows[index].requests = 0
            rows[index].denied = 0
            rows[index].durations.empty()
        }
        labels.removeAll(keepingCapacity: true)
    }

    static func += (sum: inout TrafficRoutes, other: TrafficRoutes) {
        for (index, label) in other.labels.enumerated() {
            let own = sum.index(of: label)
            sum.rows[own].requests += other.rows[index].requests
            sum.rows[own].denied += other.rows[index].denied
            sum.rows[own].durations += other.rows[index].durations
        }
    }

    private mutating func index(of label: Int) -> Int {
        if let index = labels.firstIndex(of: label) { return index }
        // The last one is kept for the others.
        guard labels.count < Self.most - 1 || label == LabelNames.other else { return index(of: LabelNames.other) }
        labels.append(label)
        if rows.count < labels.count { rows.append(Row()) }
        return labels.count - 1
    }
}
