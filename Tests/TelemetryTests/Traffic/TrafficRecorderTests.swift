// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Testing

@testable import Telemetry

@Suite struct TrafficRecorderTests {
    private static func note(at microseconds: Int, client: String = "192.0.2.1") -> RecentRefusals.Note {
        RecentRefusals.Note(
            at: microseconds, status: 429, reason: "rate_limited", policy: "org", route: "/api", organization: "acme",
            key: "acme/a", client: client)
    }

    private static func id(_ text: String) -> ByteBufferView { ByteBuffer(string: text).readableBytesView }

    // MARK: Refusals

    @Test func theLast50RefusalsAreKept() {
        var refusals = RecentRefusals()
        for number in 0..<10_000 { refusals.append(Self.note(at: number), Self.id("id-\(number)")) }
        let all = refusals.all.sorted { $0.at < $1.at }
        #expect(all.map(\.at) == Array(9_950..<10_000))
        #expect(all.map(\.correlationID) == (9_950..<10_000).map { "id-\($0)" })
        #expect(refusals.total == 10_000)
    }

    @Test func whatIsToldOfOneIsWhatTheAccessLogSays() {
        var refusals = RecentRefusals()
        let longest = String(repeating: "x", count: CorrelationID.maximumLength)
        refusals.append(Self.note(at: 7), Self.id(longest))
        #expect(
            refusals.all == [
                RefusalNote(
                    at: 7, status: 429, reason: "rate_limited", policy: "org", route: "/api", organization: "acme",
                    key: "acme/a", client: "192.0.2.1", correlationID: longest)
            ])
    }

    /// Of a caller's own id, which is checked before it is taken; here it is cut rather than trusted.
    @Test func anIdIsNoLongerThanIdsAre() {
        var refusals = RecentRefusals()
        refusals.append(Self.note(at: 1), Self.id(String(repeating: "x", count: 5_000)))
        refusals.append(Self.note(at: 2), Self.id("y"))
        #expect(refusals.all.map(\.correlationID.utf8.count) == [CorrelationID.maximumLength, 1])
    }

    // MARK: The recorder

    private static func detail(
        _ refusals: [Int], trials: [String: TrafficRecorder.Trial] = [:]
    ) -> TrafficRecorder.Detail {
        var recent = RecentRefusals()
        for microseconds in refusals { recent.append(note(at: microseconds), id("\(microseconds)")) }
        var callers = CallerCounts(at: 0)
        callers.count(organization: "acme", key: "acme/a", isDenied: true)
        return TrafficRecorder.Detail(callers: callers.standing, refusals: recent.all, trials: trials)
    }

    /// The clock of ``detail(_:trials:)``.
    private static func recorder() -> TrafficRecorder {
        TrafficRecorder(TrafficClock(.now(), is: WallTime(seconds: 0)))
    }

    @Test func loopsAreMergedNewestFirst() {
        let recorder = Self.recorder()
        #expect(recorder.summary.callers == nil)
        recorder.tell(
            Self.detail(
                Array(stride(from: 0, to: 100, by: 2)),
                trials: ["t": .init(wouldHaveRefused: 1, wouldHaveAllowed: 2, since: 8)]),
            of: 0)
        recorder.tell(
            Self.detail(
                Array(stride(from: 1, to: 101, by: 2)),
                trials: ["t": .init(wouldHaveRefused: 3, wouldHaveAllowed: 4, since: 7)]),
            of: 1)
        let summary = recorder.summary
        #expect(summary.refusals.map(\.at) == Array((50..<100).reversed()))
        #expect(summary.callers?.callers.map(\.count) == [2])
        #expect(summary.trials == ["t": .init(wouldHaveRefused: 4, wouldHaveAllowed: 6, since: 7)])
        // What a loop told before is replaced.
        recorder.tell(Self.detail([]), of: 0)
        #expect(recorder.summary.refusals.count == 50)
        #expect(recorder.summary.trials == ["t": .init(wouldHaveRefused: 3, wouldHaveAllowed: 4, since: 7)])
    }

    /// What loops told to somebody before is of that time.
    @Test func whoBeginsToWatchIsToldNothingOld() {
        let recorder = Self.recorder()
        recorder.beginWatch()
        let first = recorder.watch
        let trial = TrafficRecorder.Trial(wouldHaveRefused: 1, wouldHaveAllowed: 1, since: 1)
        recorder.tell(Self.detail([1], trials: ["t": trial]), of: 0)
        recorder.beginWatch()
        recorder.endWatch()
        #expect(recorder.summary.refusals.count == 1)
        #expect(recorder.watch == first)
        recorder.endWatch()
        recorder.beginWatch()
        #expect(recorder.summary.refusals.isEmpty && recorder.summary.trials.isEmpty)
        #expect(recorder.summary.callers == nil)
        // By which loops know that they have told this one nothing.
        #expect(recorder.watch != first)
    }

    @Test func aSecondIsSealedByOneThatIsTwoLater() {
        let recorder = TrafficRecorder(TrafficClock(.now(), is: WallTime(seconds: 100)))
        var counted = TrafficSecond()
        counted.count(.allowed, route: LabelNames.none, nanoseconds: nil)
        recorder.add(counted, .init(), of: 0, at: 100)
        recorder.add(counted, .init(), of: 0, at: 101)
        #expect(recorder.sealedThrough == 99)
        recorder.add(counted, .init(), of: 0, at: 102)
        #expect(recorder.sealedThrough == 100)
        #expect(recorder.samples(after: 0, most: 9).map(\.outcomes.allowed) == [1])
    }

    /// However many tell while others seal and read.
    @Test func manyLoopsTellAtOnceAndNothingIsLost() async {
        let recorder = TrafficRecorder(TrafficClock(.now(), is: WallTime(seconds: 0)))
        await withTaskGroup(of: Void.self) { tasks in
            for loop in 0..<8 {
                tasks.addTask {
                    var counted = TrafficSecond()
                    for number in 0..<10 {
                        let label = LabelNames.ofProcess.number(of: "/\(number)")
                        counted.count(.allowed, route: label, nanoseconds: 1_000)
                    }
                    for second in 0..<200 { recorder.add(counted, .init(), of: loop, at: second) }
                }
            }
            tasks.addTask { for second in 0..<200 { recorder.seal(through: second) } }
        }
        recorder.seal(through: 250)
        let samples = recorder.samples(after: -1, most: 1_000)
        #expect(samples.map(\.at) == Array(0...250))
        #expect(samples.map(\.outcomes.allowed).reduce(0, +) == 16_000)
    }

    @Test func itIsOfferedForAsLongAsAnAddressServesIt() {
        let recorder = Self.recorder()
        #expect(!recorder.isOffered)
        var offers = [TrafficOffer(of: recorder), TrafficOffer(of: recorder)]
        offers.removeLast()
        #expect(recorder.isOffered)
        offers.removeLast()
        #expect(!recorder.isOffered)
    }

    @Test func itIsWatchedUntilTheLastOneLeaves() {
        let recorder = TrafficRecorder()
        #expect(!recorder.isWatched)
        recorder.beginWatch()
        recorder.beginWatch()
        recorder.endWatch()
        #expect(recorder.isWatched)
        recorder.endWatch()
        #expect(!recorder.isWatched)
    }

    @Test func secondsAreThoseOfTheWallAsItWasAtTheStart() {
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        let clock = TrafficClock(start, is: WallTime(seconds: 1_000, microseconds: 750_000))
        #expect(clock.start == 1_000)
        #expect(clock.second(of: start) == 1_000)
        #expect(clock.second(of: start + .milliseconds(249)) == 1_000)
        #expect(clock.second(of: start + .milliseconds(250)) == 1_001)
        #expect(clock.microseconds(of: start + .milliseconds(250)) == 1_001_000_000)
    }
}
