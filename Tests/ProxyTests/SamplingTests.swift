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

    /// As good as none: of what is drawn, one line in ten thousand.
    private static let least = LogSampling(share: 1)

    @Test(
        arguments: [
            (400, "allow", nil), (404, nil, "unknown_route"), (429, "deny", "rate_limited"),
            (200, "deny", "tool_not_allowed"),
            (502, "allow", "upstream_refused"), (200, "allow", "upstream_truncated"), (200, "allow", "client_closed"),
            (nil, "allow", "client_closed"), (500, "allow", nil),
        ] as [(Int?, StaticString?, StaticString?)])
    func refusalsAndErrorsAreNeverLeftOut(_ status: Int?, _ decision: StaticString?, _ reason: StaticString?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<20 { request(status, decision, reason, Self.least).logEnd(to: buffer) }
        buffer.flush()
        let line = "- \(status.map { "\($0)" } ?? "-") \(reason.map { "\($0)" } ?? "-") - -"
        #expect(try pipe.lines(20, Self.members) == Array(repeating: line, count: 20))
    }

    /// Their reason is no fault.
    @Test(arguments: ["preflight", "resource_metadata", nil] as [StaticString?])
    func ordinaryLinesSayForHowManyTheyStand(_ reason: StaticString?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<2_000 { request(200, "allow", reason, LogSampling(share: 2_500)).logEnd(to: buffer) }
        request(500, nil, "last", .all).logEnd(to: buffer)
        buffer.flush()
        let lines = try untilTheLast()
        #expect(Set(lines) == ["- 200 \(reason.map { "\($0)" } ?? "-") 4 -"])
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
    @Test(arguments: [nil, "client_closed"] as [StaticString?])
    func bothLinesOfAStreamOrNone(_ reason: StaticString?) throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<1_000 {
            var record = request(200, "allow", nil, LogSampling(share: 5_000))
            record.logBegin(to: buffer, at: .now())
            record.reason = reason
            record.logEnd(to: buffer)
        }
        request(500, nil, "last", .all).logEnd(to: buffer)
        buffer.flush()
        let lines = try untilTheLast()
        let ends = stride(from: 1, to: lines.count, by: 2).map { lines[$0] }
        let begins = stride(from: 0, to: lines.count, by: 2).map { lines[$0] }
        #expect(Set(begins) == ["- 200 - 2 begin"])
        #expect(Set(ends) == ["- 200 \(reason.map { "\($0)" } ?? "-") 2 end"])
        #expect(begins.count == ends.count)
        #expect(405...595 ~= begins.count)
    }

    /// It stands for itself alone, whether its beginning was written or not.
    @Test func aStreamThatIsCutIsNeverLeftOut() throws {
        let buffer = AccessLogBuffer(pipe.log)
        for _ in 0..<50 {
            var record = request(200, "allow", nil, Self.least)
            record.logBegin(to: buffer, at: .now())
            record.reason = "key_ended"
            record.logEnd(to: buffer)
        }
        request(500, nil, "last", .all).logEnd(to: buffer)
        buffer.flush()
        let ends = try untilTheLast().filter { $0.hasSuffix(" end") }
        #expect(ends == Array(repeating: "- 200 key_ended - end", count: 50))
    }

    // MARK: Requests

    private func request(
        _ status: Int?, _ decision: StaticString?, _ reason: StaticString?, _ sampling: LogSampling
    ) -> ExchangeRecord {
        var ids = CorrelationIDGenerator()
        var record = ExchangeRecord()
        record.begin(at: .now(), sampling)
        record.identifyUnread(&ids)
        record.status = status
        record.decision = decision
        record.reason = reason
        return record
    }

    private func untilTheLast() throws -> [String] {
        var lines: [String] = []
        while let line = try pipe.lines(1, Self.members).first, line != "- 500 last - -" { lines.append(line) }
        return lines
    }
}

extension ExchangeRecord {
    fileprivate func logEnd(to buffer: AccessLogBuffer) {
        var record = self
        record.logEnd(to: buffer, at: .now())
    }
}
