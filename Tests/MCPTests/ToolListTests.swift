// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore
import Testing

@Suite struct ToolListTests {
    private static func permits(_ name: [UInt8]) -> Bool { !name.starts(with: Array("no".utf8)) }

    private static func filtered(_ text: String) -> String? {
        ToolList.filtered(ByteBuffer(string: text), permits: permits).map { String(buffer: $0) }
    }

    @Test(arguments: [
        (#"{"id":1,"result":{"tools":[{"name":"a"},{"name":"no"}]}}"#, #"{"id":1,"result":{"tools":[{"name":"a"}]}}"#),
        (
            #"{"result":{"tools":[{"name":"no"}, {"x":[{}],"name":"b"} ,{"name":"no2"}],"nextCursor":"c"}}"#,
            #"{"result":{"tools":[{"x":[{}],"name":"b"}],"nextCursor":"c"}}"#
        ),
        (#"{"result":{"tools":[ {"name":"no"} ]}}"#, #"{"result":{"tools":[  ]}}"#),
        (
            #"[{"result":{"tools":[{"name":"no"}]}},{"result":{"tools":[{"name":"a"}]}}]"#,
            #"[{"result":{"tools":[]}},{"result":{"tools":[{"name":"a"}]}}]"#
        ),
        (#"{"result":{"tools":[{"n\u0061me":"\u006eo"}]}}"#, #"{"result":{"tools":[]}}"#),
        ("\u{FEFF}\(list)", "\u{FEFF}\(shorter)"),
    ])
    func leavesOutWhatIsBarred(text: String, expected: String) {
        #expect(Self.filtered(text) == expected)
    }

    @Test(arguments: [
        #"{"result":{"tools":[{"name":"a"}]}}"#, #"{"tools":[{"name":"no"}]}"#,
        #"{"result":{"x":{"tools":[{"name":"no"}]}}}"#,
        #"{"result":{"tools":{"name":"no"}}}"#, #"{"params":{"tools":[{"name":"no"}]}}"#,
        #"{"result":{"tools":[{"x":"no"}]}}"#,
        #"{"result":{"tools":[{"x":{"name":"no"}}]}}"#, "no JSON", "", #"{"result":{"tools":[{"name":"no"}]}"#,
    ])
    func leavesEverythingElse(text: String) {
        #expect(Self.filtered(text) == nil)
    }

    @Test(arguments: [
        #"{"result":{"tools":[{"name":"a","x":NaN}]}}"#, #" [{"result":{"tools":[{"name":"no"}]}"#,
        String(repeating: "[", count: 65) + String(repeating: "]", count: 65),
        #"{"result":{"tools":[{"name":"\#(String(repeating: "a", count: 4097))"}]}}"#,
        #"[[{"result":{"tools":[{"name":"no"}]}}]]"#, #"{"result":{"tools":[[{"name":"no"}]]}}"#,
        "\u{FEFF}\u{FEFF}\(list)", "/**/\(list)", "\0{\0}", "{\0}\0",
    ])
    func whatCannotBeReadIsNoList(text: String) {
        #expect(throws: ToolList.Unreadable.self) {
            try ToolList.readable(ByteBuffer(string: text), permits: Self.permits)
        }
        var filter = EventStreamFilter(permits: Self.permits)
        _ = filter.filter(ByteBuffer(string: "data: \(Self.list)\n\ndata: x\n\n"))
        #expect(!filter.hasPassedUnreadable)
        _ = filter.filter(ByteBuffer(string: "data: \(text)\n\n"))
        #expect(filter.hasPassedUnreadable)
    }

    @Test(arguments: ["x", "no JSON", "/messages?session_id=1", "\u{FEFF}x"])
    func otherWordsAreNoJSONButPassAsEvents(text: String) {
        #expect(throws: ToolList.Unreadable.self) {
            try ToolList.readable(ByteBuffer(string: text), permits: Self.permits)
        }
        var filter = EventStreamFilter(permits: Self.permits)
        _ = filter.filter(ByteBuffer(string: "data: \(text)\n\n"))
        #expect(!filter.hasPassedUnreadable)
    }

    @Test(arguments: ["", " \r\n\t", "\u{FEFF}", "\u{FEFF} "])
    func nothingIsNoList(text: String) throws {
        #expect(try ToolList.readable(ByteBuffer(string: text), permits: Self.permits) == nil)
    }

    private static let list = #"{"id":1,"result":{"tools":[{"name":"a"},{"name":"no"}]}}"#
    private static let shorter = #"{"id":1,"result":{"tools":[{"name":"a"}]}}"#

    @Test(arguments: [
        ("event: message\ndata: \(list)\nid: 7\n\n", "event: message\ndata: \(shorter)\nid: 7\n\n"),
        (
            ": comment\r\n\r\nevent: message\r\ndata:\(list)\r\n\r\ndata: x\r\n\r\n",
            ": comment\r\n\r\nevent: message\ndata: \(shorter)\n\ndata: x\r\n\r\n"
        ),
        (
            "data: {\"id\":1,\"result\":\ndata: {\"tools\":[{\"name\":\"no\"}]}}\n\n",
            "data: {\"id\":1,\"result\":{\"tools\":[]}}\n\n"
        ),
        ("data: x\rdata: y\r\rdata: \(list)\r\r", "data: x\rdata: y\r\rdata: \(shorter)\n\n"),
        ("data: \(list)\n", ""),
        ("\u{FEFF}data: \(list)\n\ndata: \(list)\n\n", "data: \(shorter)\n\ndata: \(shorter)\n\n"),
        ("\u{FEFF}data: x\n\n", "\u{FEFF}data: x\n\n"), ("data: \u{FEFF}\(list)\n\n", "data: \u{FEFF}\(shorter)\n\n"),
        // Elsewhere it is part of a field's name, which no client knows.
        ("data: x\n\n\u{FEFF}data: \(list)\n\n", "data: x\n\n\u{FEFF}data: \(list)\n\n"),
        ("data: \(shorter)\n", "data: \(shorter)\n"), ("\n\n:x\n\ndata\n\n", "\n\n:x\n\ndata\n\n"),
    ])
    func filtersEventsHoweverTheyAreCut(text: String, expected: String) {
        let octets = Array(text.utf8)
        for size in 1...octets.count {
            var filter = EventStreamFilter(permits: Self.permits)
            var passed = ByteBuffer()
            for start in stride(from: 0, to: octets.count, by: size) {
                passed.writeImmutableBuffer(
                    filter.filter(ByteBuffer(bytes: octets[start..<min(start + size, octets.count)])))
            }
            passed.writeImmutableBuffer(filter.finish())
            #expect(String(buffer: passed) == expected)
        }
    }

    @Test func anEventGoesOnWhenItIsWhole() {
        var filter = EventStreamFilter(permits: Self.permits)
        #expect(filter.filter(ByteBuffer(string: "data: x\n")).readableBytes == 0)
        #expect(String(buffer: filter.filter(ByteBuffer(string: "\ndata: y"))) == "data: x\n\n")
        #expect(String(buffer: filter.finish()) == "data: y")
    }

    @Test func anEventWithoutEndPasses() {
        var filter = EventStreamFilter(permits: Self.permits)
        let slice = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20)
        var passed = 0
        for _ in 0..<8 { passed += filter.filter(slice).readableBytes }
        #expect(passed == 8 << 20)
        #expect(
            String(buffer: filter.filter(ByteBuffer(string: "\n\ndata: \(Self.list)\n\n")))
                == "\n\ndata: \(Self.shorter)\n\n")
    }
}
