// SPDX-License-Identifier: Apache-2.0

/// The last 15 minutes, a sample a second.
///
/// 1. A second is open until it is closed. Then its sample is made, and appended; it never changes, so whoever has been told
///    it needs no word about it any more.
/// 2. What comes late, of a loop that stood still, counts in the first second that is open: no call is lost or told twice.
/// 3. Quiet seconds take no room. They are told all the same, with the connections of the one before.
///
/// Bound: 960 samples, each with at most 64 routes and as many policies as there are.
package struct TrafficHistory: Sendable {
    package static let length = 900
    /// So many are let go at once, for it costs a move of the others.
    private static let spare = 60

    private struct Open {
        var at: Int
        var counted = TrafficSecond()
        /// By loop, as far as they have told.
        var gauges: [Int: TrafficSample.Gauges] = [:]
    }

    /// Those that aren't quiet, oldest first.
    private var samples: [TrafficSample] = []
    /// Oldest first.
    private var open: [Open] = []
    private var gauges: [Int: TrafficSample.Gauges] = [:]
    /// Of what was let go last.
    private var before = TrafficSample.Gauges()
    private let start: Int
    /// Nothing is added to these any more.
    private var closedThrough: Int
    /// Of these there are samples.
    package private(set) var sealedThrough: Int

    /// - Parameter start: the first second.
    package init(from start: Int) {
        self.start = start
        closedThrough = start - 1
        sealedThrough = start - 1
    }

    /// - Parameters:
    ///   - gauges: of this loop, at the end of that second.
    ///   - at: no later than the second that is under way.
    package mutating func add(_ counted: TrafficSecond, _ gauges: TrafficSample.Gauges, of loop: Int, at second: Int) {
        let second = max(second, closedThrough + 1)
        let index = place(of: second)
        open[index].counted += counted
        open[index].gauges[loop] = gauges
    }

    /// - Returns: where it is among the open ones.
    private mutating func place(of second: Int) -> Int {
        let index = open.firstIndex { $0.at >= second } ?? open.endIndex
        if index == open.endIndex || open[index].at > second { open.insert(Open(at: second), at: index) }
        return index
    }

    // MARK: Sealing

    /// A second of which a sample is to be made.
    package struct Closed: Sendable {
        var at: Int
        var counted: TrafficSecond
        var gauges: TrafficSample.Gauges

        package var sample: TrafficSample { TrafficSample(counted, at: at, gauges) }
    }

    /// What was counted by the end of this second is all. To be followed by ``append(_:through:)``, before the next.
    package mutating func close(through second: Int) -> [Closed] {
        guard second > closedThrough else { return [] }
        closedThrough = second
        let count = open.prefix { $0.at <= second }.count
        let closed = open[..<count].map { open in
            gauges.merge(open.gauges) { $1 }
            return Closed(at: open.at, counted: open.counted, gauges: sum(of: gauges))
        }
        open.removeFirst(count)
        return closed
    }

    /// - Parameter samples: of what was closed.
    package mutating func append(_ samples: [TrafficSample], through second: Int) {
        for sample in samples { append(sample) }
        sealedThrough = max(sealedThrough, second)
    }

    /// Both at once.
    package mutating func seal(through second: Int) {
        append(close(through: second).map(\.sample), through: second)
    }

    private func sum(of gauges: [Int: TrafficSample.Gauges]) -> TrafficSample.Gauges {
        gauges.values.reduce(into: TrafficSample.Gauges()) { sum, gauges in
            sum.connections += gauges.connections
            sum.streams += gauges.streams
        }
    }

    private mutating func append(_ sample: TrafficSample) {
        if samples.count == Self.length + Self.spare {
            before = samples[Self.spare - 1].gauges
            samples.removeFirst(Self.spare)
        }
        samples.append(sample)
    }

    // MARK: Reading

    /// Those after a second that are sealed and no older than 15 minutes, oldest first, quiet ones too; so many at most.
    package func samples(after second: Int, most: Int) -> [TrafficSample] {
        let first = max(second + 1, sealedThrough - Self.length + 1, start)
        let last = min(sealedThrough, first + most - 1)
        guard first <= last else { return [] }
        var index = samples.firstIndex { $0.at >= first } ?? samples.endIndex
        var gauges = index > samples.startIndex ? samples[index - 1].gauges : before
        return (first...last).map { second in
            guard index < samples.endIndex, samples[index].at == second else {
                return TrafficSample(at: second, gauges)
            }
            defer { index += 1 }
            gauges = samples[index].gauges
            return samples[index]
        }
    }
}
