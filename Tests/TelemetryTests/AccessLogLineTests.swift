// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Testing

@testable import Telemetry

@Suite struct AccessLogLineTests {
    private func view(_ text: String) -> ByteBufferView {
        ByteBuffer(string: text).readableBytesView
    }

    private func rendered(_ lines: AccessLogLine...) -> String {
        var buffer = ByteBuffer()
        var timestamp = LogTimestamp()
        for line in lines { line.write(into: &buffer, timestamp: &timestamp) }
        return String(buffer: buffer)
    }

    private var moment: WallTime { WallTime(seconds: 1_795_405_267, microseconds: 7_000) }

    @Test func namesEverythingInOrder() {
        var line = AccessLogLine(
            correlationID: view("req-1"), bytesIn: 12, bytesOut: 3_456, total: .microseconds(7_654_321), at: moment)
        line.client = "203.0.113.9"
        line.method = view("POST")
        line.path = view("/mcp/messages")
        line.route = "/mcp"
        line.message.method = "tools/call"
        line.message.tool = "search"
        line.status = 200
        line.decision = "allow"
        line.cost = 3
        line.reason = "unthrottled"
        line.policy = "org"
        line.owner.organization = "acme"
        line.owner.keyID = "acme/7h3kq2mzxb"
        line.admission = .microseconds(412)
        line.upstream = .nanoseconds(1_999_999)
        line.event = .end
        #expect(
            rendered(line)
                == #"{"time":"2026-11-23T03:41:07.007Z","correlation_id":"req-1","client":"203.0.113.9","method":"POST","#
                + #""path":"/mcp/messages","route":"/mcp","mcp_method":"tools/call","tool":"search","status":200,"#
                + #""decision":"allow","reason":"unthrottled","policy":"org","cost":3,"org":"acme","key_id":"acme/7h3kq2mzxb","bytes_in":12,"bytes_out":3456,"#
                + #""ms_admission":0.412,"ms_upstream":1.999,"ms_total":7654.321,"event":"end"}"# + "\n")
    }

    @Test func leavesOutWhatIsNotKnown() {
        let line = AccessLogLine(correlationID: view("x"), total: .zero, at: WallTime(seconds: 0))
        #expect(
            rendered(line)
                == #"{"time":"1970-01-01T00:00:00.000Z","correlation_id":"x","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    @Test func saysThatAStreamBegins() {
        var line = AccessLogLine(correlationID: view("x"), total: .milliseconds(1), at: moment)
        line.event = .begin
        #expect(rendered(line).hasSuffix(#","ms_total":1.000,"event":"begin"}"# + "\n"))
    }

    /// In thousandths, and the end of a line as what it stands in.
    @Test(arguments: [
        (10_000, "10"), (3_333, "3.333"), (1_250, "1.25"), (1_500, "1.5"), (10_000_000, "10000"), (1_001, "1.001"),
        (1_010, "1.01"),
    ])
    func saysForHowManyItStands(_ sample: Int, _ written: String) {
        var line = AccessLogLine(correlationID: view("x"), total: .milliseconds(1), at: moment)
        line.sample = sample
        #expect(rendered(line).hasSuffix(#","ms_total":1.000,"sample":\#(written)}"# + "\n"))
        line.event = .end
        #expect(rendered(line).hasSuffix(#","ms_total":1.000,"sample":\#(written),"event":"end"}"# + "\n"))
    }

    /// A path comes from the client, a route from the configuration: both may hold what JSON can't.
    @Test func escapesWhatOthersWrote() {
        var line = AccessLogLine(correlationID: view("x"), total: .zero, at: moment)
        line.method = view(#"A"B"#)
        line.path = ByteBuffer(bytes: Array("/\"\\\n".utf8) + [0xFF, 0x00] + Array("é".utf8)).readableBytesView
        line.route = #"/"quoted"/{x}"#
        #expect(
            rendered(line)
                == #"{"time":"2026-11-23T03:41:07.007Z","correlation_id":"x","method":"A\"B","#
                + #""path":"/\"\\\n\ufffd\u0000é","route":"/\"quoted\"/{x}","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    @Test func writesOneLineEach() {
        var first = AccessLogLine(
            correlationID: view("a"), total: .zero, at: WallTime(seconds: 59, microseconds: 999_999))
        first.status = 404
        let second = AccessLogLine(correlationID: view("b"), total: .zero, at: WallTime(seconds: 60))
        #expect(
            rendered(first, second)
                == #"{"time":"1970-01-01T00:00:59.999Z","correlation_id":"a","status":404,"bytes_in":0,"bytes_out":0,"#
                + #""ms_total":0.000}"# + "\n"
                + #"{"time":"1970-01-01T00:01:00.000Z","correlation_id":"b","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    /// A clock that went back must not show as a negative time.
    @Test func neverGoesBelowZero() {
        let line = AccessLogLine(correlationID: view("x"), total: .nanoseconds(-5), at: moment)
        #expect(rendered(line).hasSuffix(#""ms_total":0.000}"# + "\n"))
    }
}
