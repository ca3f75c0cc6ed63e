// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Telemetry

@Suite struct TrafficHistoryTests {
    private static let none = TrafficSample.Gauges()

    private static func counted(_ requests: Int, of label: Int = LabelNames.none) -> TrafficSecond {
        var second = TrafficSecond()
        for _ in 0..<requests { second.count(.allowed, route: label, nanoseconds: 1_000_000) }
        return second
    }

    private static func allowed(_ samples: [TrafficSample]) -> [Int] { samples.map(\.outcomes.allowed) }

    @Test func loopsAreAddedUp() throws {
        var history = TrafficHistory(from: 100)
        history.add(Self.counted(2), .init(connections: 1), of: 0, at: 100)
        history.add(Self.counted(3), .init(connections: 2, streams: 1), of: 1, at: 100)
        #expect(history.samples(after: 0, most: 9).isEmpty)
        history.seal(through: 100)
        let sample = try #require(history.samples(after: 0, most: 9).first)
        #expect((sample.at, sample.outcomes.allowed) == (100, 5))
        #expect(sample.gauges == .init(connections: 3, streams: 1))
        #expect(sample.routes == [.init(pattern: "", requests: 5, denied: 0, p99: sample.latency?.p99)])
    }

    @Test func quietSecondsAreToldWithWhatIsOpen() {
        var history = TrafficHistory(from: 100)
        history.add(Self.counted(1), .init(connections: 4), of: 0, at: 102)
        history.seal(through: 105)
        let samples = history.samples(after: 0, most: 9)
        #expect(samples.map(\.at) == [100, 101, 102, 103, 104, 105])
        #expect(Self.allowed(samples) == [0, 0, 1, 0, 0, 0])
        #expect(samples.map(\.gauges.connections) == [0, 0, 4, 4, 4, 4])
    }

    /// A sample is made without the lock: meanwhile loops tell, and readers read.
    @Test func whatComesWhileASampleIsMadeCountsInTheNextSecond() {
        var history = TrafficHistory(from: 100)
        history.add(Self.counted(1), Self.none, of: 0, at: 100)
        let closed = history.close(through: 100)
        history.add(Self.counted(7), Self.none, of: 1, at: 100)
        #expect(history.samples(after: 0, most: 9).isEmpty)
        history.append(closed.map(\.sample), through: 100)
        history.seal(through: 101)
        #expect(Self.allowed(history.samples(after: 0, most: 9)) == [1, 7])
    }

    /// Of a loop that stood still.
    @Test func whatComesLateIsToldOnce() {
        var history = TrafficHistory(from: 100)
        history.add(Self.counted(1), Self.none, of: 0, at: 104)
        history.seal(through: 104)
        #expect(Self.allowed(history.samples(after: 0, most: 9)) == [0, 0, 0, 0, 1])
        history.add(Self.counted(7), Self.none, of: 1, at: 101)
        #expect(Self.allowed(history.samples(after: 0, most: 9)) == [0, 0, 0, 0, 1])
        history.seal(through: 105)
        #expect(Self.allowed(history.samples(after: 104, most: 9)) == [7])
    }

    @Test func secondsThatAreOpenMayComeInAnyOrder() {
        var history = TrafficHistory(from: 100)
        history.add(Self.counted(1), .init(connections: 9), of: 0, at: 101)
        history.add(Self.counted(2), .init(connections: 5), of: 0, at: 100)
        history.seal(through: 101)
        let samples = history.samples(after: 0, most: 9)
        #expect(Self.allowed(samples) == [2, 1])
        #expect(samples.map(\.gauges.connections) == [5, 9])
    }

    @Test func readersTakeItInParts() {
        var history = TrafficHistory(from: 0)
        for second in 0..<250 { history.add(Self.counted(1), Self.none, of: 0, at: second) }
        history.seal(through: 249)
        var (after, seconds) = (-1, [Int]())
        while let last = history.samples(after: after, most: 100).last {
            seconds += history.samples(after: after, most: 100).map(\.at)
            after = last.at
        }
        #expect(seconds == Array(0..<250))
    }

    @Test func whatIsOlderThan15MinutesIsForgotten() {
        var history = TrafficHistory(from: 0)
        for second in 0..<5_000 { history.add(Self.counted(1), .init(connections: second), of: 0, at: second) }
        history.seal(through: 4_999)
        let samples = history.samples(after: 0, most: .max / 2)
        #expect(samples.map(\.at) == Array(4_100..<5_000))
        #expect(samples.allSatisfy { $0.outcomes.allowed == 1 && $0.gauges.connections == $0.at })
    }

    /// What was open long ago is open still.
    @Test func gaugesOutliveTheirSecond() {
        var history = TrafficHistory(from: 0)
        history.add(TrafficSecond(), .init(connections: 3, streams: 2), of: 0, at: 5)
        history.seal(through: 100_000)
        let samples = history.samples(after: 0, most: .max / 2)
        #expect(samples.count == TrafficHistory.length)
        #expect(samples.allSatisfy { $0.gauges == .init(connections: 3, streams: 2) })
    }

    /// Whatever the order in which loops tell, every call is told, once.
    @Test func noCallIsLostOrToldTwice() {
        for seed in 0..<200 as Range<UInt64> {
            var random = Xoshiro256(seed)
            var history = TrafficHistory(from: 0)
            var (added, told, after, now) = (0, 0, -1, 0)
            for _ in 0..<300 {
                switch random.next() % 4 {
                case 0: now += Int(random.next() % 3)
                case 1, 2:
                    let requests = Int(random.next() % 5)
                    added += requests
                    history.add(
                        Self.counted(requests), Self.none, of: Int(random.next() % 3),
                        at: max(0, now - Int(random.next() % 4)))
                default:
                    history.seal(through: now - 1)
                    for sample in history.samples(after: after, most: 7) {
                        #expect(sample.at == after + 1)
                        (told, after) = (told + sample.outcomes.allowed, sample.at)
                    }
                }
            }
            history.seal(through: now + 10)
            while case let samples = history.samples(after: after, most: 100), let last = samples.last {
                told += Self.allowed(samples).reduce(0, +)
                after = last.at
            }
            #expect(told == added, "seed \(seed)")
        }
    }

    @Test func routesBeyondTheBoundAreCountedTogether() {
        var second = TrafficSecond()
        for label in 0..<10_000 { second.count(.denied, route: label + 2, nanoseconds: 1) }
        var history = TrafficHistory(from: 0)
        history.add(second, Self.none, of: 0, at: 0)
        history.add(second, Self.none, of: 1, at: 0)
        history.seal(through: 0)
        let routes = history.samples(after: -1, most: 1)[0].routes
        #expect(routes.count == TrafficRoutes.most)
        #expect(routes.map(\.requests).reduce(0, +) == 20_000)
        #expect(routes.last?.pattern == "other")
        #expect(routes.last?.denied == 2 * (10_000 - TrafficRoutes.most + 1))
    }

    @Test func aSecondBeginsEmptyAgain() {
        var second = Self.counted(3, of: 7)
        second.countHandler(hasFailed: true, nanoseconds: nil)
        second.policies["org"] = .init(allowed: 1)
        second.withoutRedis = 1
        second.redisDurations.observe(nanoseconds: 1)
        second.empty()
        #expect(second.isEmpty)
        #expect(TrafficSample(second, at: 1, Self.none) == TrafficSample(at: 1, Self.none))
    }
}

extension Xoshiro256 {
    fileprivate init(_ seed: UInt64) {
        struct Counter: RandomNumberGenerator {
            var state: UInt64
            mutating func next() -> UInt64 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return state
            }
        }
        var counter = Counter(state: seed)
        self.init(seededBy: &counter)
    }
}
