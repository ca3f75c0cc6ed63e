// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import TestSupport
import Testing

@testable import Proxy
@testable import Telemetry

/// Which lines of requests are written where `log.sample` is less than all.
@Suite struct SamplingTests {
    private static let members = ["path", "status", "reason", "sample", "event"]
    private var pipe = AccessLogPipe(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })

    /// Of the line behind all others.
    private static let last = Reason.exhausted
    /// As good as none: of what is drawn, one line in ten thousand.
    private static let least = LogSampling(share: 1)

    @Test(
        arguments: [
            (400, "allow", nil), (404, nil, .unknownRoute), (429, "deny", .rateLimited),
            (200, "deny", .toolNotAllowed),
            (502, "allow", .upstreamUnreachable), (200, "allow", .upstreamTruncated), (200, "allow", .clientClosed),
            (nil, "allow", .clientClosed), (500, "allow", nil),
        ] as [(Int?, StaticString?, Reason?)])
    func refusalsAndErrorsAreNeverLeftOut(_ status: Int?, _ decision: StaticString?, _ reason: Reason?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<20 { request(status, decision, reason, Self.least).logEnd(to: buffer) }
        buffer.flush()
        let line = "- \(status.map { "\($0)" } ?? "-") \(reason?.word.description ?? "-") - -"
        #expect(try pipe.lines(20, Self.members) == Array(repeating: line, count: 20))
    }

    /// Their reason is no fault.
    @Test(arguments: [.preflight, .resourceMetadata, nil] as [Reason?])
    func ordinaryLinesSayForHowManyTheyStand(_ reason: Reason?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<2_000 { request(200, "allow", reason, LogSampling(share: 2_500)).logEnd(to: buffer) }
        request(500, nil, Self.last, .all).logEnd(to: buffer)
        buffer.flush()
        let lines = try untilTheLast()
        #expect(Set(lines) == ["- 200 \(reason?.word.description ?? "-") 4 -"])
        // 500 but for six standard deviations.
        #expect(384...616 ~= lines.count)
    }

    @Test func withoutSamplingLinesHaveNoWeight() throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<20 { request(200, "allow", nil, .all).logEnd(to: buffer) }
        buffer.flush()
        #expect(try pipe.lines(20, Self.members) == Array(repeating: "- 200 - - -", count: 20))
    }

    /// A client that has enough of a stream ends it as it should.
    @Test(arguments: [nil, .clientClosed] as [Reason?])
    func bothLinesOfAStreamOrNone(_ reason: Reason?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<1_000 {
            let record = request(200, "allow", nil, LogSampling(share: 5_000))
            record.logBegin(to: buffer, at: .now())
            record.reason = reason
            record.logEnd(to: buffer)
        }
        request(500, nil, Self.last, .all).logEnd(to: buffer)
        buffer.flush()
        let lines = try untilTheLast()
        let ends = stride(from: 1, to: lines.count, by: 2).map { lines[$0] }
        let begins = stride(from: 0, to: lines.count, by: 2).map { lines[$0] }
        #expect(Set(begins) == ["- 200 - 2 begin"])
        #expect(Set(ends) == ["- 200 \(reason?.word.description ?? "-") 2 end"])
        #expect(begins.count == ends.count)
        #expect(405...595 ~= begins.count)
    }

    /// It stands for itself alone, whether its beginning was written or not.
    @Test func aStreamThatIsCutIsNeverLeftOut() throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<50 {
            let record = request(200, "allow", nil, Self.least)
            record.logBegin(to: buffer, at: .now())
            record.reason = .keyEnded
            record.logEnd(to: buffer)
        }
        request(500, nil, Self.last, .all).logEnd(to: buffer)
        buffer.flush()
        let ends = try untilTheLast().filter { $0.hasSuffix(" end") }
        #expect(ends == Array(repeating: "- 200 key_ended - end", count: 50))
    }

    // MARK: Requests

    private func request(
        _ status: Int?, _ decision: StaticString?, _ reason: Reason?, _ sampling: LogSampling
    ) -> ExchangeRecord {
        var ids = CorrelationIDGenerator()
        let record = ExchangeRecord()
        record.begin(at: .now(), sampling)
        record.identifyUnread(&ids)
        record.status = status
        record.decision = decision
        record.reason = reason
        return record
    }

    private func untilTheLast() throws -> [String] {
        var lines: [String] = []
        while let line = try pipe.lines(1, Self.members).first, line != "- 500 exhausted - -" { lines.append(line) }
        return lines
    }
}

extension ExchangeRecord {
    fileprivate func logEnd(to buffer: AccessLogBuffer) {
        var metrics = LoopMetrics()
        metrics.began()
        if isStream { metrics.streamBegan() }
        logEnd(to: buffer, countedIn: &metrics, isToolError: false, at: .now())
    }
}
