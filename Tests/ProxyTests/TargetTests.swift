// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import TestSupport
import Testing

@testable import Proxy

@Suite struct TargetTests {
    private func judge(_ text: String, isStrict: Bool = true, mergesSlashes: Bool = false) throws
        -> RequestTarget.Verdict
    {
        try RequestTarget.judge(RoutingHeads.head(text), isStrict: isStrict, mergesSlashes: mergesSlashes)
    }

    private func path(_ text: String, isStrict: Bool = true, mergesSlashes: Bool = false) throws -> RequestTarget.Path?
    {
        guard case .target(let target) = try judge(text, isStrict: isStrict, mergesSlashes: mergesSlashes) else {
            return nil
        }
        return target.path
    }

    // MARK: Canonical form

    @Test(arguments: [
        "/", "/api/listings", "/api/listings/", "//", "/a//b", "/a.b", "/.a", "/..a", "/a..", "/...", "/.well-known/x",
        "/a:b@c!$&'()*+,=d", "/~user/-_.", "/A/b", "/a|b", "/{x}",
    ])
    func copiesNothingWhereNothingIsToDo(_ text: String) throws {
        #expect(try path(text) == .asSent)
        #expect(try path(text + "?x=1") == .asSent)
    }

    @Test(arguments: [
        ("/%61pi", "/api"), ("/%41", "/A"), ("/%7euser", "/~user"), ("/%7Euser", "/~user"), ("/a%2db", "/a-b"),
        ("/a%3ab", "/a%3Ab"), ("/a%3Ab", "/a%3Ab"), ("/a%20b", "/a%20b"), ("/caf%c3%a9", "/caf%C3%A9"),
        ("/100%25", "/100%25"), ("/100%25/x", "/100%25/x"), ("/100%25%20", "/100%25%20"), ("/%25zz", "/%25zz"),
        ("/%F0%9F%98%80", "/%F0%9F%98%80"), ("/%3f%23", "/%3F%23"), ("/.%61", "/.a"), ("/%2e%2ea", "/..a"),
        ("/%2e%2e%2e", "/..."), ("/%2ewell-known", "/.well-known"),
    ])
    func rewritesWhatIsEquivalent(_ text: String, _ canonical: String) throws {
        #expect(try path(text) == .rewritten(Array(canonical.utf8)))
    }

    @Test(arguments: [
        ("//", "/"), ("/a//b", "/a/b"), ("///a///", "/a/"), ("/a//%62", "/a/b"), ("/.well-known//x", "/.well-known/x"),
    ])
    func mergesSlashesWhereAsked(_ text: String, _ canonical: String) throws {
        #expect(try path(text, mergesSlashes: true) == .rewritten(Array(canonical.utf8)))
        #expect(try path("/a/b", mergesSlashes: true) == .asSent)
    }

    @Test func marksEscapesThatAreLeft() throws {
        for (text, hasEscapes) in [("/a", false), ("/%61", false), ("/%3A", true), ("/%61%20", true)] {
            guard case .target(let target) = try judge(text) else {
                Issue.record("\(text) was refused")
                continue
            }
            #expect(target.hasEscapes == hasEscapes)
        }
    }

    // MARK: Ranges

    @Test(arguments: [
        ("/a/b", "/a/b", nil), ("/a?", "/a", ""), ("/a?x=1", "/a", "x=1"),
        ("/a?x=/../;%2f%zz\\?y", "/a", "x=/../;%2f%zz\\?y"),
        ("http://example.com/a?b", "/a", "b"), ("http://example.com", "", nil), ("http://example.com?b", "", "b"),
    ])
    func tellsPathAndQueryApart(_ text: String, _ raw: String, _ query: String?) throws {
        let head = try RoutingHeads.head(text)
        guard case .target(let target) = RequestTarget.judge(head, isStrict: true, mergesSlashes: false) else {
            Issue.record("\(text) was refused")
            return
        }
        #expect(head.string(in: target.raw) == raw)
        #expect(target.query.map { head.string(in: $0) } == query)
    }

    @Test func takesAnAbsoluteFormWithoutPathForTheRoot() throws {
        #expect(try path("http://example.com") == .rewritten(Array("/".utf8)))
        #expect(try path("http://example.com/x") == .asSent)
    }

    @Test func knowsThatSomeTargetsAreNoPaths() throws {
        for (method, text) in [("OPTIONS", "*"), ("CONNECT", "example.com:443"), ("OPTIONS", "http://example.com")] {
            let head = try RoutingHeads.head(text, method: method)
            guard case .target(let target) = RequestTarget.judge(head, isStrict: true, mergesSlashes: false) else {
                Issue.record("\(text) was refused")
                continue
            }
            #expect(target.path == .none)
        }
    }

    // MARK: Refusals

    static let ambiguous: [(String, PathFlaw)] = [
        ("/.", .dotSegment), ("/..", .dotSegment), ("/./a", .dotSegment), ("/a/./b", .dotSegment),
        ("/a/..", .dotSegment),
        ("/a/../b", .dotSegment), ("/a/.", .dotSegment), ("/..//a", .dotSegment), ("/a/.?x", .dotSegment),
        ("/%2e", .dotSegment), ("/%2E%2e/a", .dotSegment), ("/.%2e/a", .dotSegment), ("/a/%2e", .dotSegment),
        ("/a/%2e?x", .dotSegment), ("/a/%2e.", .dotSegment),
        ("/a\\b", .backslash), ("/a/..\\b", .backslash), ("/a%5cb", .encodedBackslash), ("/a%5Cb", .encodedBackslash),
        ("/a;b", .semicolon), ("/mcp;x", .semicolon), ("/;", .semicolon), ("/a%3bb", .encodedSemicolon),
        ("/api%2flistings", .encodedSlash), ("/api%2Flistings", .encodedSlash), ("/%2f", .encodedSlash),
        ("/%00", .encodedControl), ("/a%0d%0ab", .encodedControl), ("/a%7f", .encodedControl),
        ("/a%1f", .encodedControl),
        ("/a%", .malformedEscape), ("/a%2", .malformedEscape), ("/a%zz", .malformedEscape), ("/a%2g", .malformedEscape),
        ("/a%?20", .malformedEscape), ("/%%20", .malformedEscape), ("/%u002f", .malformedEscape),
        ("/api%252flistings", .encodedTwice), ("/%252e%252e/a", .encodedTwice), ("/%25%32%66", .encodedTwice),
        ("/%2525", .encodedTwice), ("/%25252f", .encodedTwice), ("/%2561pi", .encodedTwice),
        ("/%252%66", .encodedTwice),
        ("/%c0%af", .notUTF8), ("/%c0%ae%c0%ae/a", .notUTF8), ("/%e0%80%af", .notUTF8), ("/%f0%80%80%af", .notUTF8),
        ("/%ff", .notUTF8), ("/%80", .notUTF8), ("/%c3", .notUTF8), ("/%c3/%a9", .notUTF8), ("/%c3a", .notUTF8),
        ("/%ed%a0%80", .notUTF8), ("/%f4%90%80%80", .notUTF8), ("/%e2%82", .notUTF8), ("/%c1%bf", .notUTF8),
        ("/%f8%88%80%80%80", .notUTF8),
    ]

    @Test(arguments: ambiguous)
    func refusesWhatAHandlerMayReadOtherwise(_ text: String, _ flaw: PathFlaw) throws {
        #expect(try judge(text) == .refused(flaw))
        #expect(try judge("http://example.com" + text) == .refused(flaw))
        #expect(try judge("/first/segment" + text) == .refused(flaw))
        #expect(try judge("/.well-known" + text, isStrict: false) == .refused(flaw))
    }

    /// Without routes there is nothing to gain above `/.well-known`: everything is protected there.
    @Test(arguments: ambiguous)
    func passesItOnWhereEverythingIsProtected(_ text: String, _ flaw: PathFlaw) throws {
        #expect(try path(text, isStrict: false) == .asSent)
        #expect(try path("/.well-knowns" + text, isStrict: false) == .asSent)
    }

    @Test(arguments: [
        "/.well-known;x", "/.well-known%2f..%2fmcp", "/.well-known\\..\\mcp", "/%2ewell-known/%2e%2e/mcp",
        "/.well-known%00", "/.%77ell-known/..", "/.well-known/%", "/.well-known%",
    ])
    func refusesWhatBeginsLikeWellKnown(_ text: String) throws {
        guard case .refused = try judge(text, isStrict: false) else {
            Issue.record("\(text) was let through")
            return
        }
    }

    @Test(arguments: [
        ("/.well-known", true), ("/.well-known/", true), ("/.well-known/a/b", true), ("/%2Ewell-known/a", true),
        ("/.well-known?x", true), ("/.well-knowns", false), ("/.well-know", false), ("/x/.well-known/a", false),
        ("//.well-known/a", false), ("/.Well-Known/a", false), ("/.", false), ("/", false), ("/a?/.well-known/", false),
    ])
    func knowsWhatIsWellKnown(_ text: String, _ isWellKnown: Bool) throws {
        guard case .target(let target) = try judge(text, isStrict: false) else {
            Issue.record("\(text) was refused")
            return
        }
        #expect(target.isWellKnown == isWellKnown)
    }

    @Test func explainsEachFlawDifferently() {
        #expect(Set(PathFlaw.allCases.map(\.detail)).count == PathFlaw.allCases.count)
        #expect(PathFlaw.encodedSlash.detail == "Request path contains an encoded slash")
    }

    /// Of any octets at all: no trap, and an accepted path is canonical: judged again, it stays what it is.
    @Test func isStable() throws {
        var random = SplitMix(seed: 11)
        let pieces = [
            "%", "2", "f", "e", "E", "5", "c", "C3", "A9", "a", "/", ".", ";", "\\", "%25", "%2e", "%C3%A9", "~", "%41",
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let text =
                "/"
                + (0..<Int.random(in: 0...10, using: &random)).map { _ in
                    pieces.randomElement(using: &random) ?? ""
                }.joined()
            let merges = Bool.random(using: &random)
            guard case .target(let target) = try judge(text, mergesSlashes: merges) else { continue }
            accepted += 1
            if case .rewritten(let canonical) = target.path {
                let again = try path(String(decoding: canonical, as: UTF8.self), mergesSlashes: merges)
                #expect(again == (canonical.contains(UInt8(ascii: "%")) ? .rewritten(canonical) : .asSent))
            }
        }
        #expect(accepted > 2_000)
    }
}
