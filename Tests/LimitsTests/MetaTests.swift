// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Limits

@Suite struct MetaTests {
    @Test(
        arguments: [
            (#"{}"#, #"{}"#, [:]),
            (
                #" { "tier" : "gold" , "seats":5 } "#, #"{"tier":"gold","seats":5}"#,
                ["tier": .text("gold"), "seats": .text("5")]
            ),
            (
                #"{"a":true,"b":false,"c":null,"d":-1.50e+3}"#, #"{"a":true,"b":false,"c":null,"d":-1.50e+3}"#,
                ["a": .text("true"), "b": .text("false"), "c": .null, "d": .text("-1.50e+3")]
            ),
            (
                #"{"o":{"x":[1, {"y":2}]},"l":[ ]}"#, #"{"o":{"x":[1,{"y":2}]},"l":[]}"#,
                ["o": .nested, "l": .nested]
            ),
            (
                #"{"\u0061":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é"}"#,
                #"{"\u0061":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é"}"#,
                ["a": .text("\"\\/\u{8}\u{c}\n\r\té😀 é")]
            ),
        ] as [(String, String, [String: Meta.Value])])
    func reads(text: String, compact: String, members: [String: Meta.Value]) throws {
        let meta = try Meta(parsing: text)
        #expect(meta.text == compact)
        #expect(meta.members == members)
        #expect(try Meta(parsing: compact) == meta)
    }

    @Test(arguments: [
        "", " ", "{", "{}x", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}", "{a:1}",
        "{'a':1}",
        "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":-}", "{\"a\":1e}", "{\"a\":+1}", "{\"a\":tru}", "{\"a\":nul}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}", "{\"a\":\"\n\"}",
        "{\"a\":\"",
        "{\"a\":[1}", "{\"a\":[1,]}", "[", "tru", "\u{feff}{}",
    ])
    func refusesWhatIsNoJSON(text: String) {
        let error = #expect(throws: Meta.Flaw.self) { try Meta(parsing: text) }
        guard case .notJSON(let offset)? = error else {
            Issue.record("\(text): \(String(describing: error))")
            return
        }
        #expect(0...text.utf8.count ~= offset)
    }

    @Test(
        arguments: [
            ("[]", .noObject), ("\"x\"", .noObject), ("5", .noObject), ("null", .noObject),
            (#"{"a":1,"a":2}"#, .twice(name: "a")), (#"{"a":1,"\u0061":2}"#, .twice(name: "a")),
            (#"{"o":{"b":1,"b":2}}"#, .twice(name: "b")),
        ] as [(String, Meta.Flaw)])
    func refusesWhatIsNoPlainObject(text: String, flaw: Meta.Flaw) {
        #expect(throws: flaw) { try Meta(parsing: text) }
    }

    @Test func isBounded() throws {
        func text(_ count: Int) -> String { "{\"a\":\"" + String(repeating: "x", count: count - 8) + "\"}" }
        #expect(try Meta(parsing: text(1_024)).text.utf8.count == 1_024)
        #expect(throws: Meta.Flaw.tooLong(octets: 1_025)) { try Meta(parsing: text(1_025)) }
        // White space isn't kept, and so much of it isn't read.
        #expect(try Meta(parsing: text(1_024) + String(repeating: " ", count: 10_000)).text == text(1_024))
        #expect(throws: Meta.Flaw.tooLong(octets: 1_000_000)) {
            try Meta(parsing: String(repeating: " ", count: 1_000_000))
        }
        func nested(_ depth: Int) -> String {
            "{\"a\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
        }
        #expect(try Meta(parsing: nested(16)).members == ["a": .nested])
        #expect(throws: Meta.Flaw.tooDeep) { try Meta(parsing: nested(17)) }
        #expect(throws: Meta.Flaw.tooDeep) { try Meta(parsing: nested(500)) }
    }

    @Test(arguments: [
        ("tier", "X-Tollgate-Meta-tier"), ("home_region", "X-Tollgate-Meta-home-region"),
        ("A-9", "X-Tollgate-Meta-A-9"),
        ("", nil), ("9a", nil), ("a.b", nil), ("é", nil), ("a b", nil), ("a\r\n", nil),
        (String(repeating: "a", count: 41), nil),
    ])
    func namesAField(name: String, header: String?) {
        #expect(MetaField(name)?.header == header)
    }

    @Test(arguments: [
        ("gold", true), ("a;b=\"c\"", true), (String(repeating: "x", count: 256), true), ("", false), ("a b", false),
        ("é", false), ("a\u{7f}", false), ("a\r\nX: y", false), (String(repeating: "x", count: 257), false),
    ])
    func saysVisibleASCII(value: String, isSaid: Bool) {
        #expect(MetaField.canSay(value) == isSaid)
    }
}
