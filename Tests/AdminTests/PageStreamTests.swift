// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Telemetry
import Testing

@testable import Admin

/// What an open page is told, by the machine alone.
@Suite struct PageStreamTests {
    private let recorder = TrafficRecorder(TrafficClock(.now(), is: WallTime(seconds: 1_000)))
    private var board: PageBoard

    init() {
        board = PageBoard(traffic: recorder)
        board.take(.example(), recorder.summary)
    }

    private func counted(at second: Int) {
        var counted = TrafficSecond()
        counted.count(.allowed, route: LabelNames.none, nanoseconds: 2_000_000)
        recorder.add(counted, .init(connections: 1), of: 0, at: second)
        recorder.seal(through: second)
    }

    /// All that it is told now: the names of the events, and their ids.
    private func events(_ stream: inout PageStream) -> [String] {
        var events: [String] = []
        while let octets = stream.next(of: board) { events.append(Event(octets).summary) }
        return events
    }

    @Test func aNewPageIsToldWhoWhatWasAndHowItIs() {
        for second in 1_000..<1_250 { counted(at: second) }
        var stream = PageStream(after: nil)
        #expect(
            events(&stream) == ["hello", "history 1099 100", "history 1199 100", "history 1249 50", "state"])
        #expect(events(&stream).isEmpty)
        counted(at: 1_250)
        #expect(events(&stream) == ["sample 1250"])
    }

    @Test func oneThatComesBackIsToldWhatItMissed() {
        for second in 1_000..<1_250 { counted(at: second) }
        var stream = PageStream(after: 1_240)
        #expect(events(&stream) == ["hello", "history 1249 9", "state"])
        var other = PageStream(after: 1_249)
        #expect(events(&other) == ["hello", "state"])
    }

    /// Of another sidecar at the same address, or of a clock that was set back.
    @Test func oneFromTheFutureIsToldAll() {
        for second in 1_000..<1_002 { counted(at: second) }
        for after in [1_002, 9_999_999_999, .max] {
            var stream = PageStream(after: after)
            #expect(events(&stream) == ["hello", "history 1001 2", "state"])
        }
        var past = PageStream(after: .min)
        #expect(events(&past) == ["hello", "history 1001 2", "state"])
    }

    /// Each second it takes one event, and its seconds wait in the history.
    @Test func aSlowReaderIsToldAllAtOnce() {
        counted(at: 1_000)
        var stream = PageStream(after: nil)
        _ = events(&stream)
        for second in 1_001..<1_031 { counted(at: second) }
        #expect(events(&stream) == ["history 1030 30"])
    }

    @Test func whoTakesNothingHasToGo() {
        var stream = PageStream(after: nil)
        let beats = (0..<PageStream.patience).map { _ in stream.beat(isWritable: false) }
        #expect(beats == Array(repeating: true, count: PageStream.patience - 1) + [false])
        // Who takes something now and then stays.
        var slow = PageStream(after: nil)
        let stays = (0..<100).map { slow.beat(isWritable: $0 % 9 == 0) }
        #expect(!stays.contains(false))
    }

    @Test mutating func theStateIsToldWhenItChangesAndEveryFiveSeconds() {
        var stream = PageStream(after: nil)
        #expect(events(&stream) == ["hello", "state"])
        for _ in 0..<4 {
            board.beat()
            board.take(.example(), recorder.summary)
            #expect(events(&stream).isEmpty)
        }
        board.beat()
        board.take(.example(), recorder.summary)
        #expect(events(&stream) == ["state"])
        board.take(.example(warnings: ["other"]), recorder.summary)
        #expect(events(&stream) == ["state"])
    }

    @Test mutating func aReloadIsToldByAnotherHello() {
        var stream = PageStream(after: nil)
        _ = events(&stream)
        board.take(.example(routes: ["/other"]), recorder.summary)
        #expect(events(&stream) == ["hello"])
    }

    @Test mutating func nothingIsToldBeforeItIsKnownWhoTells() {
        counted(at: 1_000)
        board.forget()
        var stream = PageStream(after: nil)
        #expect(events(&stream).isEmpty)
    }

    // MARK: The wire

    @Test func aSampleIsOneLineOfJSON() throws {
        var counted = TrafficSecond()
        counted.count(.denied, route: LabelNames.ofProcess.number(of: "/a\n\"b"), nanoseconds: 1_000_000_000)
        counted.countHandler(hasFailed: true, nanoseconds: nil)
        counted.policies["org"] = .init(allowed: 1, denied: 2, shadow: 3)
        counted.withoutRedis = 4
        recorder.add(counted, .init(connections: 5, streams: 6), of: 0, at: 1_000)
        recorder.seal(through: 1_000)
        let octets = try #require(PageEvent.samples(recorder.samples(after: 0, most: 1)))
        let sample = recorder.samples(after: 0, most: 1)[0]
        let p99 = StatusValue.thousandths(sample.latency?.p99 ?? 0).json
        #expect(
            String(buffer: octets) == """
                event: sample
                id: 1000
                data: {"at":1000,"allowed":0,"denied":1,"refused":0,"failed":0,"p50":\(p99),"p99":\(p99),\
                "policies":{"org":[1,2,3]},"routes":{"/a\\n\\"b":[1,1,\(p99)]},"redis":[0,4,null,null],\
                "handler":[1,1,null,null],"connections":5,"streams":6}


                """)
    }

    @Test(arguments: [(0, "0"), (1, "0.001"), (1_000, "1"), (1_500, "1.5"), (20_971, "20.971"), (10_010, "10.01")])
    func thousandthsAreExact(value: Int, expected: String) {
        #expect(StatusValue.thousandths(value).json == expected)
    }

    @Test func helloHasTheTimeAndSaysHowSoonToComeBack() throws {
        var stream = PageStream(after: nil)
        let octets = stream.next(of: board)
        let event = Event(try #require(octets))
        #expect(
            event.text.hasPrefix(
                "retry: 2000\nevent: hello\ndata: {\"version\":\"9.9.9\",\"name\":\"n\",\"started\":1000,"))
        #expect(
            event.text.contains(#""seconds":900,"loops":2,"policies":[],"routes":["/a"],"listeners":[],"now":1000"#))
    }
}

/// One as it is written.
private struct Event {
    let text: String

    init(_ octets: ByteBuffer) {
        text = String(buffer: octets)
    }

    /// `history 1099 100`: its name, its id, and how many samples it has.
    var summary: String {
        let lines = text.split(separator: "\n")
        let name = lines.first { $0.hasPrefix("event: ") }?.dropFirst(7) ?? ""
        let id = lines.first { $0.hasPrefix("id: ") }.map { " \($0.dropFirst(4))" } ?? ""
        let count = name == "history" ? " \(text.ranges(of: "\"at\":").count)" : ""
        return "\(name)\(id)\(count)"
    }
}

extension PageState {
    fileprivate static func example(routes: [String] = ["/a"], warnings: [String] = []) -> PageState {
        let status = Status(
            version: "9.9.9", state: .ready, uptime: .zero, loops: 2, loopsUnheard: 0, listeners: [], redis: nil,
            upstream: nil, policies: [], configuration: .init(file: nil, hash: nil, lastReload: nil), openAPI: nil,
            fleet: .known([]))
        return PageState(status: status, name: "n", routes: routes, warnings: warnings, expiring: nil)
    }
}
