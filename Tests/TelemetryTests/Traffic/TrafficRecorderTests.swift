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

    @Test func loopsAreMergedNewestFirst() {
        let recorder = TrafficRecorder()
        #expect(recorder.summary.callers == nil)
        recorder.tell(
            Self.detail(
                Array(stride(from: 0, to: 100, by: 2)), trials: ["t": .init(wouldHaveRefused: 1, wouldHaveAllowed: 2)]),
            of: 0)
        recorder.tell(
            Self.detail(
                Array(stride(from: 1, to: 101, by: 2)), trials: ["t": .init(wouldHaveRefused: 3, wouldHaveAllowed: 4)]),
            of: 1)
        let summary = recorder.summary
        #expect(summary.refusals.map(\.at) == Array((50..<100).reversed()))
        #expect(summary.callers?.callers.map(\.count) == [2])
        #expect(summary.trials == ["t": .init(wouldHaveRefused: 4, wouldHaveAllowed: 6)])
        // What a loop told before is replaced.
        recorder.tell(Self.detail([]), of: 0)
        #expect(recorder.summary.refusals.count == 50)
        #expect(recorder.summary.trials == ["t": .init(wouldHaveRefused: 3, wouldHaveAllowed: 4)])
    }

    @Test func itIsWatchedUntilTheLastOneLeaves() {
        let recorder = TrafficRecorder()
        #expect(!recorder.isWatched)
        recorder.watch()
        recorder.watch()
        recorder.unwatch()
        #expect(recorder.isWatched)
        recorder.unwatch()
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
