// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis
import Testing
@testable import Limits

@Suite struct ToolAccessTests {
    private func reading(_ text: String) -> ToolAccess {
        ToolAccess(.bytes(Array(text.utf8)))
    }

    @Test(arguments: [
        ("search", "search", true), ("search", "other", false), ("search db_*", "db_read", true),
        ("search db_* !db_drop", "db_drop", false), ("search db_* !db_drop", "db_read", true),
        ("!db_drop db_*", "db_drop", false), ("!db_*", "search", true), ("!db_*", "db_drop", false),
        ("!*", "search", false), ("* !*", "search", false), ("?", "!", true),
        ("search", "", false), ("!search", "", true), ("search", "search ", false),
    ])
    func whatIsDeniedStaysDenied(field: String, tool: String, isPermitted: Bool) {
        #expect(reading(field).permits(Array(tool.utf8)) == isPermitted)
        #expect(!reading(field).isUnrestricted)
    }

    @Test func withoutAFieldNothingIsRestricted() {
        #expect(ToolAccess(RedisReply.null) == ToolAccess())
        #expect(reading("") == ToolAccess())
        #expect(ToolAccess().isUnrestricted)
        #expect(ToolAccess().permits(Array("db_drop".utf8)))
        #expect(ToolAccess().text == "")
    }

    @Test(arguments: [
        " ", "search ", " search", "search  db_*", "search !", "!", "!!a", "!search !!a", "search\tdb_*", "sea\u{0}rch",
        "a\u{85}b",
        "a\u{A0}b", String(repeating: "a", count: 129), "!" + String(repeating: "a", count: 129),
    ])
    func aFieldThatCannotBeReadPermitsNothing(field: String) {
        let access = reading(field)
        for tool in ["search", "a", ""] { #expect(!access.permits(Array(tool.utf8))) }
        #expect(!access.isUnrestricted)
    }

    @Test func aFieldOfAnotherTypePermitsNothing() {
        for field in [RedisReply.bytes([0xFF]), .integer(1), .error("WRONGTYPE"), .array([])] {
            #expect(!ToolAccess(field).permits(Array("search".utf8)))
        }
    }

    /// Whoever looks at such a record is told what holds.
    @Test func aFieldThatCannotBeReadShowsAsDenial() {
        #expect(reading("search  db_*").text == "!*")
    }

    @Test func theTextReadsBack() {
        let longest = String(repeating: "\u{E9}", count: 128)
        let access = ToolAccess(allowed: [Glob("search"), Glob("db_*"), Glob(longest)], denied: [Glob("db_drop")])
        #expect(access.text == "search db_* \(longest) !db_drop")
        #expect(reading(access.text) == access)
    }

    @Test(arguments: ["", "a b", "a\n", "!a", "!", "\u{7F}", "\u{85}", "\u{A0}", String(repeating: "a", count: 129)])
    func isNoPattern(text: String) {
        #expect(!ToolAccess.isWellFormed(text))
    }

    @Test(arguments: ["a", "*", "?!", "名前", String(repeating: "\u{E9}", count: 128)])
    func isAPattern(text: String) {
        #expect(ToolAccess.isWellFormed(text))
    }

    @Test func theFirstCallThatIsBarredSpeaks() {
        let access = reading("search db_* !db_drop")
        let (search, drop) = (Array("search".utf8), Array("db_drop".utf8))
        #expect(access.firstDenied(of: [search, drop, nil]) == .some(.some(drop)))
        // A call that names no tool can't be one that is allowed.
        #expect(access.firstDenied(of: [search, nil, drop]) == .some(.none))
        #expect(access.firstDenied(of: [search]) == .none)
        #expect(access.firstDenied(of: []) == .none)
        #expect(ToolAccess().firstDenied(of: [drop, nil]) == .none)
    }
}
