// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing

@Suite struct GlobTests {
    @Test(arguments: [
        ("search", "search", true), ("search", "Search", false), ("search", "searches", false), ("search", "", false),
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "anything at all", true), ("?", "", false),
        ("?", "a", true), ("db_*", "db_", true), ("db_*", "db_drop", true), ("db_*", "adb_drop", false),
        ("*_drop", "db_drop_drop", true), ("*_drop", "db_dropped", false), ("a*b*c", "abcbc", true),
        ("a*b*c", "acb", false), ("**", "x", true), ("a?c*", "abc", true), ("a?c*", "ac", false),
        ("file:///*", "file:///etc/passwd", true), ("tools/*", "tools/call", true), ("[a]", "a", false),
        // Octets: of a letter of two, `?` takes one.
        ("caf?", "caf\u{E9}", false), ("caf??", "caf\u{E9}", true), ("caf*", "caf\u{E9}", true),
    ])
    func matches(pattern: String, text: String, isMatch: Bool) {
        let glob = Glob(pattern)
        #expect(glob.matches(text) == isMatch)
        #expect(glob.matches(Array(text.utf8)) == isMatch)
        let quoted = Array("<\(text)>".utf8)
        #expect(glob.matches(quoted.span.extracting(1..<(quoted.count - 1))) == isMatch)
        #expect(glob.text == pattern)
    }

    @Test(arguments: [("search", false), ("", false), ("a*", true), ("?", true), ("[a]", false)])
    func tellsPatternsFromNames(text: String, isPattern: Bool) {
        #expect(Glob.isPattern(text) == isPattern)
    }

    @Test func manyStarsTakeNoTimeToSpeakOf() {
        let glob = Glob(String(repeating: "*a", count: 60) + "b")
        #expect(!glob.matches(String(repeating: "a", count: 10_000)))
    }
}
