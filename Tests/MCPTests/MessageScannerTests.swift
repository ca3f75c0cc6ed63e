// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore
import Testing

@Suite struct MessageScannerTests {
    @Test func saysWhatARequestIs() {
        let text =
            #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"name":"x"}}}"#
        #expect(
            messages(text) == [
                Message(
                    kind: .request, method: Array("tools/call".utf8), id: Array("7".utf8),
                    target: .tool(Array("search".utf8)))
            ])
    }

    @Test(arguments: [
        (#"{"method":"ping","id":1}"#, "single request+id x70696e67 x31 -"),
        (
            #"{"method":"notifications/initialized"}"#,
            "single notification x6e6f74696669636174696f6e732f696e697469616c697a6564 - -"
        ),
        (#"{"method":"x","id":null}"#, "single request+id x78 - -"),
        (#"{"method":"x","id":true}"#, "single request+id x78 - -"),
        (#"{"method":"x","id":{"a":1}}"#, "single request+id x78 - -"),
        (#"{"method":"x","id":"a\u0062"}"#, "single request+id x78 x22615c753030363222 -"),
        (#"{"method":"x","id":-1.5e+3}"#, "single request+id x78 x2d312e35652b33 -"),
        (#"{"id":1,"result":{"method":"x"}}"#, "single response+id - x31 -"),
        (#"{"id":1,"error":{}}"#, "single response+id - x31 -"),
        (#"{"id":1}"#, "single response+id - x31 -"),
        (#"{"id":1,"error":{},"result":{}}"#, "single other+id - x31 -"),
        (#"{"method":5,"id":1}"#, "single other+id - x31 -"),
        ("{}", "single other - - -"), ("5", "single other - - -"), (#""method""#, "single other - - -"),
        ("[]", "batch"), ("[1,{}]", "batch other - - - other - - -"),
        (#"[{"method":"a","id":1},{"method":"b"}]"#, "batch request+id x61 x31 - notification x62 - -"),
        // Names are what they mean, not how they are written, and stand anywhere in the object.
        (#"{"\u006dethod":"\u0061","id":1}"#, "single request+id x61 x31 -"),
        (
            #"{"params":{"name":"t"},"id":1,"method":"prompts/get"}"#,
            "single request+id x70726f6d7074732f676574 x31 prompt:x74"
        ),
        (
            #"{"params":{"uri":"a:b","name":"t"},"method":"resources/read"}"#,
            "single notification x7265736f75726365732f72656164 - resource:x613a62"
        ),
        (
            #"{"method":"tools/call","id":1,"params":{"name":["t"]}}"#,
            "single request+id x746f6f6c732f63616c6c x31 tool:-"
        ),
        (
            #"{"method":"tools/call","id":1,"params":[{"name":"t"}]}"#,
            "single request+id x746f6f6c732f63616c6c x31 tool:-"
        ),
        (
            #"{"method":"tools/call","id":1,"params":{"x":{"name":"t"}}}"#,
            "single request+id x746f6f6c732f63616c6c x31 tool:-"
        ),
        (
            #"{"method":"tools/call","id":1,"params":{"name":"\ud83d\ude00\ud83d"}}"#,
            "single request+id x746f6f6c732f63616c6c x31 tool:xf09f9880efbfbd"
        ),
    ])
    func readsMessages(text: String, expected: String) {
        #expect(summary(scan(text)) == expected)
    }

    @Test(arguments: [
        (#"{"method":"a","method":"b","id":1}"#, MessageFlaw.duplicate(.method)),
        (#"{"method":"a","\u006dethod":"b","id":1}"#, .duplicate(.method)),
        (#"{"id":1,"id":1,"method":"a"}"#, .duplicate(.id)),
        (#"{"jsonrpc":"2.0","jsonrpc":"2.0"}"#, .duplicate(.jsonrpc)),
        (#"{"params":{},"params":{}}"#, .duplicate(.params)),
        (#"{"method":"x","params":{"name":"a","name":"b"}}"#, .duplicate(.name)),
        (#"{"method":"x","params":{"uri":"a","uri":"b"}}"#, .duplicate(.uri)),
        (#"{"result":1,"result":1}"#, .duplicate(.result)),
        (#"{"Method":"a"}"#, .misspelt(.method)),
        (#"{"method":"a","METHOD":"b"}"#, .misspelt(.method)),
        ("{\"re\u{17F}ult\":1}", .misspelt(.result)),
        (#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#, .misspelt(.name)),
        (#"{"params":{"URI":"b"},"method":"resources/read"}"#, .misspelt(.uri)),
        (#"{"method":"a","result":{}}"#, .requestAndResponse),
        (#"{"error":{},"id":1,"method":"a"}"#, .requestAndResponse),
        ("[[]]", .nestedBatch), ("[{},[{}]]", .nestedBatch),
    ])
    func refusesWhatMayBeReadOtherwise(text: String, flaw: MessageFlaw) {
        #expect(scan(text) == .refused(flaw))
    }

    @Test func namesOfOtherMethodsParametersAreFree() {
        #expect(messages(#"{"method":"custom/x","id":1,"params":{"Name":"a"}}"#)?.first?.target == nil)
        #expect(messages(#"{"method":"custom/x","id":1,"params":{"arguments":{"name":1,"name":2}}}"#)?.count == 1)
    }

    @Test(arguments: [
        ("", JSONFlaw.Rule.incomplete, 0), ("{", .incomplete, 1), (#"{"a""#, .incomplete, 4),
        ("[1,]", .unexpectedOctet, 3),
        (#"{"a":1,}"#, .unexpectedOctet, 7), ("01", .number, 1), ("1.", .incomplete, 2), ("1.e", .number, 2),
        ("-", .incomplete, 1), ("+1", .unexpectedOctet, 0), ("1e", .incomplete, 2), (".5", .unexpectedOctet, 0),
        ("NaN", .unexpectedOctet, 0), ("{\"a\":Infinity}", .unexpectedOctet, 5), ("nul", .incomplete, 3),
        ("nulL", .unexpectedOctet, 3), ("true false", .trailing, 5), ("{}{}", .trailing, 2),
        ("\"\u{1}\"", .controlCharacter, 1), (#""\x""#, .escape, 2), (#""\u12g4""#, .escape, 5),
        ("'a'", .unexpectedOctet, 0),
        ("{a:1}", .unexpectedOctet, 1), ("{1:1}", .unexpectedOctet, 1), ("[1 2]", .unexpectedOctet, 3),
        ("[}", .unexpectedOctet, 1), ("{]", .unexpectedOctet, 1), ("\u{FEFF}{}", .unexpectedOctet, 0),
        ("// x", .unexpectedOctet, 0),
    ])
    func saysWhereJSONEnds(text: String, rule: JSONFlaw.Rule, offset: Int) {
        guard case .unreadable(let flaw, _) = scan(text) else { return #expect(Bool(false), "\(text) was read") }
        #expect(flaw.rule == rule && flaw.offset == offset)
    }

    @Test(
        arguments: [
            [0x22, 0x80, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xC1, 0xBF, 0x22], [0x22, 0xE0, 0x9F, 0xBF, 0x22],
            [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF0, 0x8F, 0xBF, 0xBF, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
            [0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], [0x22, 0xC2, 0x22], [0x22, 0xFF, 0x22], [0x22, 0xE2, 0x82, 0x22],
        ] as [[UInt8]])
    func refusesWhatIsNoUTF8(octets: [UInt8]) {
        guard case .unreadable(let flaw, _) = scan(octets) else { return #expect(Bool(false), "\(octets) was read") }
        #expect(flaw.rule == .utf8)
    }

    @Test(arguments: [
        (" \t[NaN]", true), ("\u{FEFF}[]", true), ("\u{FEFF}{}", true), ("\0[", true), (" \0[\0", true),
        ("\u{B}[", true),
        ("{\"a\":NaN}", false), ("hello", false), ("", false), (" ", false), ("{\0", false),
    ])
    func saysWhatALenientReaderMayFindABatchIn(text: String, mayBeBatch: Bool) {
        guard case .unreadable(_, mayBeBatch) = scan(text) else {
            return #expect(Bool(false), "\(text.debugDescription)")
        }
    }

    @Test func nestsAsDeepAsIsSaid() {
        func nested(_ depth: Int) -> String {
            #"{"method":"a","params":"# + String(repeating: "[", count: depth - 1)
                + String(repeating: "]", count: depth - 1) + "}"
        }
        #expect(messages(nested(64))?.count == 1)
        #expect(scan(nested(65)) == .refused(.tooDeep))
        // Brackets keep their kinds over all levels.
        let mixed = String(repeating: #"{"a":["#, count: 32)
        #expect(messages(mixed + String(repeating: "]}", count: 32))?.count == 1)
        guard case .unreadable = scan(mixed + "}") else { return #expect(Bool(false)) }
    }

    @Test func bounds() {
        let most = MessageScanner.mostMessages
        #expect(messages("[" + Array(repeating: "{}", count: most).joined(separator: ",") + "]")?.count == most)
        #expect(
            scan("[" + Array(repeating: "0", count: most + 1).joined(separator: ",") + "]")
                == .refused(.tooManyMessages(most: most)))
        let long = String(repeating: "a", count: Message.longestText)
        #expect(messages(#"{"method":"\#(long)","id":1}"#)?.first?.method?.count == Message.longestText)
        #expect(scan(#"{"method":"\#(long)a","id":1}"#) == .refused(.tooLong))
        #expect(scan(#"{"method":"a","id":"\#(long)"}"#) == .refused(.tooLong))
        // What isn't of interest may be as long as it likes.
        #expect(messages(#"{"\#(long)\#(long)":"\#(long)\#(long)","method":"a"}"#)?.count == 1)
    }

    @Test func tellsWhatIsFree() {
        func isFree(_ text: String) -> Bool? { messages(text)?.first?.isFree }
        #expect(isFree(#"{"method":"notifications/initialized"}"#) == true)
        #expect(isFree(#"{"method":"notifications/initialized","id":1}"#) == false)
        #expect(isFree(#"{"method":"notifications/x","id":null}"#) == false)
        #expect(isFree(#"{"method":"tools/call"}"#) == false)
        #expect(isFree(#"{"id":1,"result":{}}"#) == true)
        #expect(isFree(#"{"id":1}"#) == true)
        #expect(isFree(#"{"id":1,"result":{},"error":{}}"#) == false)
        #expect(isFree("{}") == false)
    }
}
