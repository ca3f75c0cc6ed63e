// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Testing

@testable import Telemetry

@Suite struct AccessLogLineTests {
    private func head(_ id: String, _ method: String = "", _ path: [UInt8] = []) -> AccessLogLine.Head {
        var text = ByteBuffer(string: id + method)
        text.writeBytes(path)
        let (start, end) = (id.utf8.count, id.utf8.count + method.utf8.count)
        return AccessLogLine.Head(
            in: text, correlationID: 0..<start, method: start..<end, path: end..<text.readableBytes)
    }

    private func rendered(_ lines: AccessLogLine...) -> String {
        var buffer = ByteBuffer()
        var timestamp = LogTimestamp()
        for line in lines { line.write(into: &buffer, timestamp: &timestamp) }
        return String(buffer: buffer)
    }

    private var moment: WallTime { WallTime(seconds: 1_795_405_267, microseconds: 7_000) }

    @Test func namesEverythingInOrder() {
        let line = AccessLogLine(
            head("req-1", "POST", Array("/mcp/messages".utf8)), client: "203.0.113.9", route: "/mcp",
            message: AccessLogLine.Message(method: "tools/call", tool: "search"), status: 200, decision: "allow",
            reason: "unthrottled", detail: "which \"rule\"", policy: "org", cost: 3,
            owner: AccessLogLine.Owner(organization: "acme", keyID: "acme/7h3kq2mzxb"), bytesIn: 12, bytesOut: 3_456,
            AccessLogLine.Durations(
                admission: .microseconds(412), upstream: .nanoseconds(1_999_999), total: .microseconds(7_654_321)),
            event: .end, at: moment)
        #expect(
            rendered(line)
                == #"{"time":"2026-11-23T03:41:07.007Z","correlation_id":"req-1","client":"203.0.113.9","method":"POST","#
                + #""path":"/mcp/messages","route":"/mcp","mcp_method":"tools/call","tool":"search","status":200,"#
                + #""decision":"allow","reason":"unthrottled","detail":"which \"rule\"","policy":"org","cost":3,"org":"acme","#
                + #""key_id":"acme/7h3kq2mzxb","bytes_in":12,"bytes_out":3456,"#
                + #""ms_admission":0.412,"ms_upstream":1.999,"ms_total":7654.321,"event":"end"}"# + "\n")
    }

    @Test func leavesOutWhatIsNotKnown() {
        let line = AccessLogLine(head("x"), .init(total: .zero), at: WallTime(seconds: 0))
        #expect(
            rendered(line)
                == #"{"time":"1970-01-01T00:00:00.000Z","correlation_id":"x","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    @Test func saysThatAStreamBegins() {
        let line = AccessLogLine(head("x"), .init(total: .milliseconds(1)), event: .begin, at: moment)
        #expect(rendered(line).hasSuffix(#","ms_total":1.000,"event":"begin"}"# + "\n"))
    }

    /// In thousandths, and the end of a line as what it stands in.
    @Test(arguments: [
        (10_000, "10"), (3_333, "3.333"), (1_250, "1.25"), (1_500, "1.5"), (10_000_000, "10000"), (1_001, "1.001"),
        (1_010, "1.01"),
    ])
    func saysForHowManyItStands(_ sample: Int, _ written: String) {
        let line = AccessLogLine(head("x"), .init(total: .milliseconds(1)), sample: sample, at: moment)
        #expect(rendered(line).hasSuffix(#","ms_total":1.000,"sample":\#(written)}"# + "\n"))
        let end = AccessLogLine(head("x"), .init(total: .milliseconds(1)), sample: sample, event: .end, at: moment)
        #expect(rendered(end).hasSuffix(#","ms_total":1.000,"sample":\#(written),"event":"end"}"# + "\n"))
    }

    /// A path comes from the client, a route from the configuration: both may hold what JSON can't.
    @Test func escapesWhatOthersWrote() {
        let path = Array("/\"\\\n".utf8) + [0xFF, 0x00] + Array("é".utf8)
        let line = AccessLogLine(
            head("x", #"A"B"#, path), route: #"/"quoted"/{x}"#, .init(total: .zero), at: moment)
        #expect(
            rendered(line)
                == #"{"time":"2026-11-23T03:41:07.007Z","correlation_id":"x","method":"A\"B","#
                + #""path":"/\"\\\n\ufffd\u0000é","route":"/\"quoted\"/{x}","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    /// A path as long as a head is written by itself.
    @Test(arguments: [1, 255, 256, 257, 10_000])
    func writesPathsOfAnyLength(_ length: Int) {
        let path = "/" + String(repeating: "x", count: length - 1)
        let line = AccessLogLine(
            head("x", "GET", Array(path.utf8)), route: "/", .init(total: .zero), at: WallTime(seconds: 0))
        #expect(
            rendered(line)
                == #"{"time":"1970-01-01T00:00:00.000Z","correlation_id":"x","method":"GET","path":"\#(path)","#
                + #""route":"/","bytes_in":0,"bytes_out":0,"ms_total":0.000}"# + "\n")
    }

    @Test func writesOneLineEach() {
        let first = AccessLogLine(
            head("a"), status: 404, .init(total: .zero), at: WallTime(seconds: 59, microseconds: 999_999))
        let second = AccessLogLine(head("b"), .init(total: .zero), at: WallTime(seconds: 60))
        #expect(
            rendered(first, second)
                == #"{"time":"1970-01-01T00:00:59.999Z","correlation_id":"a","status":404,"bytes_in":0,"bytes_out":0,"#
                + #""ms_total":0.000}"# + "\n"
                + #"{"time":"1970-01-01T00:01:00.000Z","correlation_id":"b","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
                + "\n")
    }

    /// A clock that went back must not show as a negative time.
    @Test func neverGoesBelowZero() {
        let line = AccessLogLine(head("x"), .init(total: .nanoseconds(-5)), at: moment)
        #expect(rendered(line).hasSuffix(#""ms_total":0.000}"# + "\n"))
    }
}
