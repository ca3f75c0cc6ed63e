// SPDX-License-Identifier: Apache-2.0

import HTTP1
import MCP
import NIOCore
import Telemetry
import Testing

@testable import Proxy

@Suite struct MeasuringTests {
    private static func texts(_ labels: [MetricFamily.Label]) -> [String] { labels.map { "\($0.name)=\($0.value)" } }

    @Test(
        arguments: [
            (.get, 200, "GET 200"), (.patch, 404, "PATCH 404"), (.other, 200, "other 200"), (nil, 400, "other 400"),
            (.get, 299, "GET other"), (.get, 418, "GET other"), (.get, 999, "GET other"), (.get, nil, "GET -"),
        ] as [(HTTP1.Method?, Int?, String)])
    func methodsAndStatusesAreFixedLists(method: HTTP1.Method?, status: Int?, expected: String) {
        let route = LabelNames.ofProcess.number(of: "/measured/{id}")
        let labels = Self.texts(RequestLabels.labels(of: RequestLabels.key(route: route, method, status: status)))
        let words = expected.split(separator: " ")
        #expect(
            labels == ["http_request_method=\(words[0])", "http_route=/measured/{id}"]
                + (words[1] == "-" ? [] : ["http_response_status_code=\(words[1])"]))
    }

    @Test func beyondTheBoundEveryLabelIsOther() {
        #expect(RequestLabels.labels(of: RequestLabels.other).allSatisfy { $0.value == "other" })
        #expect(MessageLabels.labels(of: RequestLabels.other).allSatisfy { $0.value == "other" })
    }

    @Test func noTwoReasonsHaveOneWord() {
        #expect(Set(Reason.allCases.map(\.word.description)).count == Reason.allCases.count)
    }

    @Test(arguments: [
        ("2026-07-28", "2026-07-28"), ("2024-11-05", "2024-11-05"), ("2026-07-29", "other"), ("", "other"),
        ("2026-07-2", "other"),
    ])
    func versionsAreThosePublished(version: String, expected: String) {
        #expect(ProtocolVersion.names[ProtocolVersion.number(of: Array(version.utf8))].description == expected)
    }

    @Test(arguments: [
        (#"{"result":{"isError":true}}"#, true), (#"{"result":{"isError" :  true}}"#, true),
        (#"{"result":{"isError":false}}"#, false), (#"{"text":"\"isError\":true"}"#, false), ("", false),
        (#"{"text":"\"isError\":true","isError":true}"#, true),
        (#"{"isError":false,"x":1,"isError":true}"#, true), (#"{"isError":"true"}"#, false),
    ])
    func anErrorOfAToolIsSeenHoweverItComes(answer: String, isError: Bool) {
        for length in [1, 7, 1_000] {
            var sight = ToolErrorSight()
            var rest = ByteBuffer(string: answer)
            while let part = rest.readSlice(length: min(length, max(1, rest.readableBytes))) { sight.see(part) }
            #expect(sight.isError == isError, "in parts of \(length)")
        }
    }

    @Test func anErrorBehindTheBoundIsNotSeen() {
        var sight = ToolErrorSight()
        sight.see(ByteBuffer(repeating: UInt8(ascii: " "), count: 64 * 1024))
        sight.see(ByteBuffer(string: #""isError":true"#))
        #expect(!sight.isError)
    }
}
