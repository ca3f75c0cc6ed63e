// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Settings
import TestSupport
import Testing

@testable import Proxy

@Suite struct RoutingTests {
    private func table(_ paths: String..., mergesSlashes: Bool = false) -> RouteTable {
        RouteTable(paths.map { Settings.Route(path: $0) }, mergesSlashes: mergesSlashes)
    }

    // MARK: Patterns

    @Test(arguments: [
        ("/", ["/"], ["//", "/a"]),
        (
            "/health", ["/health", "/health?x", "/%68ealth"],
            ["/health/", "/Health", "/healt", "/healthy", "//health", "/"]
        ),
        ("/a/", ["/a/"], ["/a", "/a//", "/a/b"]),
        ("/a/{id}", ["/a/1", "/a/%20", "/a/{id}", "/a/b%3Ac", "/a/100%25"], ["/a", "/a/", "/a/1/", "/a/1/2", "/a//"]),
        ("/{x}/b", ["/a/b", "/b/b"], ["/b", "//b", "/a/b/", "/a/b/b"]),
        ("/{rest*}", ["/", "/a", "/a/b", "//", "/a//b/"], []),
        (
            "/files/{rest*}", ["/files/", "/files/a", "/files/a/b/", "/files//"],
            ["/files", "/file/", "/filesx/a", "/"]
        ),
        ("/a/{x}/{rest*}", ["/a/1/", "/a/1/2", "/a/1/2/3"], ["/a/1", "/a/", "/a//"]),
        ("/a//b", ["/a//b"], ["/a/b"]),
        ("/café", ["/caf%C3%A9", "/caf%c3%a9"], ["/cafe", "/caf"]),
        ("/caf%c3%a9", ["/caf%C3%A9"], []),
        ("/a b", ["/a%20b"], ["/a", "/a+b"]),
        ("/%61", ["/a", "/%61"], ["/A"]),
        ("/v1/items:batch", ["/v1/items:batch"], ["/v1/items", "/v1/items%3abatch"]),
        ("/{not}more", ["/%7Bnot%7Dmore"], ["/xmore"]),
    ])
    func matchesWholePaths(_ pattern: String, _ inside: [String], _ outside: [String]) throws {
        for path in inside { #expect(try table(pattern).match(path) == .route(0), "\(pattern) has \(path)") }
        for path in outside { #expect(try table(pattern).match(path) == .unknown, "\(pattern) hasn't \(path)") }
    }

    @Test func mergesSlashesOfPathsAndPatterns() throws {
        let merging = table("/a//b", "/c/", "/d//{x}", mergesSlashes: true)
        #expect(try merging.match("/a/b") == .route(0))
        #expect(try merging.match("//a///b") == .route(0))
        #expect(try merging.match("/c//") == .route(1))
        #expect(try merging.match("/c") == .unknown)
        #expect(try merging.match("/d//1") == .route(2))
    }

    /// Segment by segment text, then a parameter, then the rest.
    @Test func prefersTheMostLiteral() throws {
        let table = table(
            "/{rest*}", "/{a}/{b}", "/api/{rest*}", "/api/{x}", "/{a}/me", "/api/me", "/api/{x}/z", "/api/me/")
        #expect(try table.match("/other") == .route(0))
        #expect(try table.match("/x/y") == .route(1))
        #expect(try table.match("/api/") == .route(2))
        #expect(try table.match("/api/you") == .route(3))
        #expect(try table.match("/x/me") == .route(4))
        #expect(try table.match("/api/me") == .route(5))
        #expect(try table.match("/api/me/z") == .route(6))
        #expect(try table.match("/api/me/") == .route(7))
        #expect(try table.match("/api/you/z") == .route(6))
        #expect(try table.match("/api/you/y") == .route(2))
        #expect(try table.match("/x/y/z") == .route(0))
    }

    @Test func prefersTheFirstOfEquals() throws {
        let table = table("/a/{x}", "/a/{y}", "/b/{rest*}", "/b/{more*}", "/c", "/%63")
        #expect(try table.match("/a/1") == .route(0))
        #expect(try table.match("/b/1") == .route(2))
        #expect(try table.match("/c") == .route(4))
    }

    @Test func finds1000Routes() throws {
        let routes = (0..<1_000).map { Settings.Route(path: "/api/v\($0 % 7)/thing\($0)/{id}") }
        let table = RouteTable(routes)
        for number in 0..<1_000 {
            #expect(try table.match("/api/v\(number % 7)/thing\(number)/x") == .route(number))
        }
        #expect(try table.match("/api/v1/thing7/x") == .unknown)
    }

    /// The trie against the rule as the design words it: of all patterns that match, the most literal, then the first.
    @Test func agreesWithTheRule() throws {
        var random = SplitMix(seed: 3)
        let segments = ["a", "b", "{x}", "{y}", "", "c"]
        for _ in 0..<400 {
            let patterns = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                "/"
                    + ((0..<Int.random(in: 0...3, using: &random)).map { _ in
                        segments.randomElement(using: &random) ?? ""
                    }
                    + (Bool.random(using: &random) ? ["{rest*}"] : [])).joined(separator: "/")
            }
            let table = RouteTable(patterns.map { Settings.Route(path: $0) })
            for _ in 0..<50 {
                let path =
                    "/"
                    + (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        ["a", "b", "c", "d", ""].randomElement(using: &random) ?? ""
                    }.joined(separator: "/")
                let expected = Self.rule(patterns, path)
                #expect(
                    try table.match(path).strict == expected.map { .route($0) } ?? .unknown, "\(path) of \(patterns)")
            }
        }
    }

    private static func rule(_ patterns: [String], _ path: String) -> Int? {
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        func ranks(_ pattern: String) -> [Int]? {
            let parts = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            var ranks: [Int] = []
            for (index, part) in parts.enumerated() {
                if part == "{rest*}" { return segments.count >= parts.count ? ranks + [2] : nil }
                guard index < segments.count else { return nil }
                if part.hasPrefix("{") {
                    guard !segments[index].isEmpty else { return nil }
                    ranks.append(1)
                } else {
                    guard part == segments[index] else { return nil }
                    ranks.append(0)
                }
            }
            return segments.count == parts.count ? ranks : nil
        }
        let matching = patterns.indices.compactMap { index in ranks(patterns[index]).map { (index, $0) } }
        return matching.min { ($0.1.lexicographicallyPrecedes($1.1)) || ($0.1 == $1.1 && $0.0 < $1.0) }?.0
    }

    // MARK: Methods

    private let listings = RouteTable([
        Settings.Route(path: "/api/listings", methods: ["GET", "POST"]),
        Settings.Route(path: "/api/{id}", methods: ["DELETE"]),
        Settings.Route(path: "/api/{rest*}", methods: ["REPORT", "PATCH"]),
        Settings.Route(path: "/any"),
        Settings.Route(path: "/odd", methods: ["BREW"]),
        Settings.Route(path: "/options", methods: ["OPTIONS"]),
    ])

    @Test(
        arguments: [
            ("GET", "/api/listings", .route(0)), ("HEAD", "/api/listings", .route(0)),
            ("POST", "/api/listings", .route(0)),
            // The most literal of those that allow the method.
            ("DELETE", "/api/listings", .route(1)), ("PATCH", "/api/listings", .route(2)),
            ("REPORT", "/api/listings", .route(2)), ("REPORT", "/api/x/y", .route(2)),
            ("PUT", "/api/listings", .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT")),
            ("report", "/api/listings", .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT")),
            ("REPORTS", "/api/listings", .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT")),
            ("get", "/api/listings", .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT")),
            ("OPTIONS", "/api/listings", .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT")),
            ("GET", "/api/5", .notAllowed("DELETE, PATCH, REPORT")), ("GET", "/api/5/6", .notAllowed("PATCH, REPORT")),
            ("BREW", "/any", .route(3)), ("OPTIONS", "/any", .route(3)), ("GET", "/odd", .notAllowed("BREW")),
            ("BREW", "/odd", .route(4)), ("OPTIONS", "/options", .route(5)), ("GET", "/nothing", .unknown),
            ("BREW", "/nothing", .unknown), ("OPTIONS", "/nothing", .unknown),
        ] as [(String, String, RouteTable.Outcome)])
    func followsMethods(_ method: String, _ path: String, _ outcome: RouteTable.Outcome) throws {
        #expect(try listings.match(path, method: method) == outcome)
    }

    @Test(arguments: ["get", "Get", "gET", "post", "trace", "brew"])
    func refusesMethodsInSmallLettersEverywhere(_ method: String) throws {
        let open = RouteTable([
            Settings.Route(path: "/secret", methods: ["GET"]), Settings.Route(path: "/{rest*}", isPublic: true),
        ])
        let allow = RouteTable.Outcome.notAllowed("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
        for path in ["/secret", "/x", "/.well-known/x"] { #expect(try open.match(path, method: method) == allow) }
        for path in ["/secret", "/x"] { #expect(try table().match(path, method: method) == allow) }
        #expect(try table().match("/.well-known/x", method: method) == .notAllowed("GET, HEAD, OPTIONS"))
        #expect(try listings.match("/nothing", method: method) == .unknown)
    }

    @Test func saysWhichRouteWouldTakeAnotherMethod() throws {
        let head = try RoutingHeads.head("/api/5", method: "GET")
        guard case .target(let target) = listings.target(of: head),
            case .methodNotAllowed(_, let route) = listings.match(target, of: head)
        else { return #expect(Bool(false)) }
        #expect(route == 1)
    }

    @Test func letsPreflightsThroughToAnyRouteOfThePath() throws {
        #expect(try listings.match("/api/listings", method: "OPTIONS", isPreflight: true) == .route(0))
        #expect(try listings.match("/api/5/6", method: "OPTIONS", isPreflight: true) == .route(2))
        #expect(try listings.match("/nothing", method: "OPTIONS", isPreflight: true) == .unknown)
        #expect(try listings.match("/api/%2e%2e", method: "OPTIONS", isPreflight: true) == .refused(.dotSegment))
    }

    @Test func refusesTraceAndConnectEverywhere() throws {
        #expect(
            try listings.match("/api/listings", method: "TRACE")
                == .notAllowed("DELETE, GET, HEAD, PATCH, POST, REPORT"))
        #expect(
            try listings.match("/any", method: "TRACE") == .notAllowed("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"))
        #expect(try listings.match("/nothing", method: "TRACE") == .notAllowed(""))
        #expect(try listings.match("/%00", method: "TRACE") == .refused(.encodedControl))
        #expect(try listings.match("example.com:443", method: "CONNECT") == .notAllowed(""))
        #expect(try table().match("/x", method: "TRACE") == .notAllowed("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"))
        #expect(try table().match("example.com:443", method: "CONNECT") == .notAllowed(""))
        let traced = RouteTable([Settings.Route(path: "/t", methods: ["TRACE"])])
        #expect(try traced.match("/t", method: "TRACE") == .notAllowed("TRACE"))
    }

    @Test func doesNotTakeTheServerForAPath() throws {
        #expect(try listings.match("*", method: "OPTIONS") == .unknown)
        #expect(try table("/{rest*}").match("*", method: "OPTIONS") == .unknown)
        #expect(try table("/").match("http://example.com", method: "OPTIONS") == .unknown)
        #expect(try table().match("*", method: "OPTIONS") == .anything)
        #expect(try table("/").match("http://example.com") == .route(0))
    }

    // MARK: MCP

    private let mcp = RouteTable([
        Settings.Route(path: "/mcp", methods: ["DELETE", "GET", "POST"], isMCP: true),
        Settings.Route(path: "/mcp/health", methods: ["GET"], isPublic: true),
        Settings.Route(path: "/tools/", isMCP: true),
    ])

    @Test(
        arguments: [
            ("POST", "/mcp", .route(0)), ("GET", "/mcp", .route(0)), ("HEAD", "/mcp", .route(0)),
            ("DELETE", "/mcp", .route(0)),
            ("POST", "/mcp/", .route(0)), ("POST", "/mcp/messages/?session_id=1", .route(0)),
            ("GET", "/mcp//x", .route(0)),
            ("PUT", "/mcp", .notAllowed("DELETE, GET, HEAD, POST")),
            ("PUT", "/mcp/x", .notAllowed("DELETE, GET, HEAD, POST")),
            ("OPTIONS", "/mcp", .notAllowed("DELETE, GET, HEAD, POST")), ("POST", "/mcps", .unknown),
            ("POST", "/", .unknown),
            ("GET", "/mcp/health", .route(1)), ("POST", "/mcp/health", .route(0)), ("GET", "/mcp/health/x", .route(0)),
            ("POST", "/tools/", .route(2)), ("POST", "/tools/x/y", .route(2)), ("POST", "/tools", .unknown),
            ("PUT", "/tools/", .notAllowed("DELETE, GET, HEAD, POST")), ("POST", "/mcp;x", .refused(.semicolon)),
        ] as [(String, String, RouteTable.Outcome)])
    func coversWhatIsBelow(_ method: String, _ path: String, _ outcome: RouteTable.Outcome) throws {
        #expect(try mcp.match(path, method: method) == outcome)
    }

    @Test func mayStandAtTheRoot() throws {
        let root = RouteTable([Settings.Route(path: "/", isMCP: true), Settings.Route(path: "/a")])
        #expect(try root.match("/", method: "POST") == .route(0))
        #expect(try root.match("/x/y", method: "POST") == .route(0))
        #expect(try root.match("/a", method: "PUT") == .route(1))
        #expect(try root.match("/x", method: "PUT") == .notAllowed("DELETE, GET, HEAD, POST"))
    }

    // MARK: /.well-known

    @Test func protectsEverythingButWellKnownWithoutRoutes() throws {
        let open = table()
        #expect(open.isEmpty)
        for path in ["/", "/a", "/a;b", "/../x", "/%2f", "/.well-knowns", "//.well-known/x", "/.WELL-KNOWN/x"] {
            #expect(try open.match(path) == .anything)
        }
        for path in ["/.well-known", "/.well-known/", "/.well-known/oauth-protected-resource", "/%2ewell-known/x"] {
            #expect(try open.match(path) == .wellKnown)
            #expect(try open.match(path, method: "POST") == .wellKnown)
        }
        #expect(try open.match("/.well-known/../mcp") == .refused(.dotSegment))
        #expect(try open.match("/.well-known/%2e%2e/mcp") == .refused(.dotSegment))
        #expect(try open.match("/.well-known/..%2fmcp") == .refused(.encodedSlash))
        #expect(try open.match("/.well-known;/../mcp") == .refused(.dotSegment))
    }

    /// A 401 there would make clients start OAuth: what doesn't name it doesn't cover it, unless it is public.
    @Test func doesNotLetAProtectedWildcardCoverWellKnown() throws {
        let document = "/.well-known/oauth-protected-resource"
        #expect(try table("/{rest*}").match(document) == .unknown)
        #expect(try table("/{a}/{b}").match(document) == .unknown)
        #expect(try RouteTable([Settings.Route(path: "/", isMCP: true)]).match(document) == .unknown)
        #expect(try RouteTable([Settings.Route(path: "/", isMCP: true)]).match(document, method: "PUT") == .unknown)
        #expect(try RouteTable([Settings.Route(path: "/{rest*}", isPublic: true)]).match(document) == .route(0))
        #expect(try table("/{rest*}", "/.well-known/{rest*}").match(document) == .route(1))
        let both = RouteTable([Settings.Route(path: "/{a}/{b}"), Settings.Route(path: "/{rest*}", isPublic: true)])
        #expect(try both.match(document) == .route(1))
        #expect(try both.match("/a/b") == .route(0))
        let listed = RouteTable([
            Settings.Route(path: "/{rest*}"),
            Settings.Route(path: "/.well-known/oauth-protected-resource", methods: ["GET"], isPublic: true),
        ])
        #expect(try listed.match(document) == .route(1))
        #expect(try listed.match(document, method: "POST") == .notAllowed("GET, HEAD"))
        #expect(try listed.match("/.well-known/other") == .unknown)
    }
}
