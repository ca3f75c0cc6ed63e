// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import TestSupport
import Testing

@testable import Proxy
@testable import Settings

/// No spelling of a path is asked for less than the path.
@Suite struct RoutingSpellingTests {
    /// As unfavourable as it gets: whatever isn't recognized is served to anybody.
    private let routes = RouteTable([
        Settings.Route(path: "/{rest*}", isPublic: true),
        Settings.Route(path: "/api/{id}", isPublic: true),
        Settings.Route(path: "/{a}/{b}", isThrottled: false),
        Settings.Route(path: "/api/listings", methods: ["GET"]),
        Settings.Route(path: "/mcp", isMCP: true),
        Settings.Route(path: "/v1/items:batch"),
        Settings.Route(path: "/v1/{id}", isPublic: true),
    ])

    @Test(
        arguments: [
            ("/api/listings", .route(3)), ("/%61pi/listings", .route(3)), ("/api/%6cistings", .route(3)),
            ("/api/listings/", .both(0, [3])), ("/api//listings", .both(0, [3])), ("//api/listings", .both(0, [3])),
            ("/API/Listings", .both(2, [3])), ("/api/LISTINGS//", .both(0, [3])), ("/Mcp", .both(0, [4])),
            ("/MCP/x", .both(2, [4])),
            ("//mcp", .both(0, [4])), ("/mcp//", .route(4)), ("/mcp/", .route(4)), ("/v1/items:batch", .route(5)),
            ("/v1/items%3abatch", .both(6, [5])), ("/V1/items%3Abatch/", .both(0, [5])),
            ("/api/listings%3fx", .both(1, [3])), ("/api/listings%23/x", .both(0, [3])),
            ("/api/listings%20", .both(1, [3])),
            ("/api%20%20/%20/listings%20/", .both(0, [3])), ("/mcp%3F", .both(0, [4])),
            ("/api/../api/listings", .refused(.dotSegment)), ("/api/%2e/listings", .refused(.dotSegment)),
            ("/api%2flistings", .refused(.encodedSlash)), ("/api%252flistings", .refused(.encodedTwice)),
            ("/%2561pi/listings", .refused(.encodedTwice)), ("/api\\listings", .refused(.backslash)),
            ("/mcp;x", .refused(.semicolon)), ("/api/listings%00", .refused(.encodedControl)),
            ("/api/listing%c1%b3", .refused(.notUTF8)), ("/api/listings%", .refused(.malformedEscape)),
            // Others keep the route that is theirs.
            ("/api/other", .route(1)), ("/v1/items", .route(6)), ("/v1/a%3Ab", .route(6)), ("/x/y", .route(2)),
            ("/mcps", .route(0)), ("/", .route(0)), ("/api/listings/5", .route(0)),
            // Suffixes: of the last segment that is one.
            ("/api/listings.json", .both(1, [3])), ("/api/listings.", .both(1, [3])), ("/mcp.json", .both(0, [4])),
            ("/api/Listings%2ejson/", .both(0, [3])), ("/api/listings%20.a.b%3f", .both(1, [3])),
            ("/v1/items%3abatch.xml", .both(6, [5])), ("/mcp/x.json", .route(4)),
            ("/api.json/listings", .route(2)), ("/api/.listings", .route(1)), ("/api/x.json", .route(1)),
            // Letters that aren't ASCII and equal one of it where case is ignored by Unicode.
            ("/api/li%C5%BFtings", .both(1, [3])), ("/api/l%c4%b1stings", .both(1, [3])),
            ("/ap%C4%B0/LISTING%C5%BF", .both(2, [3])), ("/api/list%C3%ADngs", .route(1)),
        ] as [(String, RouteTable.Outcome)])
    func resolves(_ path: String, _ outcome: RouteTable.Outcome) throws {
        #expect(try routes.match(path) == outcome)
    }

    /// With the method in view: a route that doesn't take it asks for nothing.
    @Test func looksAtTheMethodToo() throws {
        #expect(try routes.match("/api/listings", method: "POST") == .route(1))
        #expect(try routes.match("/API/listings", method: "POST") == .both(2, [1]))
        #expect(try routes.match("/api/listings/", method: "POST") == .both(0, [1]))
    }

    @Test func asksForBothBetweenNeighbours() throws {
        let users = RouteTable([
            Settings.Route(path: "/users/{name}"), Settings.Route(path: "/users/me"),
            Settings.Route(path: "/{rest*}", isPublic: true),
        ])
        #expect(try users.match("/users/ME") == .both(0, [1]))
        #expect(try users.match("/users/me") == .route(1))
        #expect(try users.match("/users/m%65") == .route(1))
        #expect(try users.match("/users/a%40b") == .route(0))
        #expect(try users.match("/USERS/me") == .both(2, [1]))
        #expect(try users.match("/users/") == .route(2))
    }

    /// Policies may name a route: an escape doesn't get around them either.
    @Test func decodesBetweenProtectedRoutes() throws {
        let items = RouteTable([
            Settings.Route(path: "/v1/{id}"), Settings.Route(path: "/v1/items:batch"),
            Settings.Route(path: "/v1/open:door", isPublic: true),
        ])
        #expect(try items.match("/v1/items%3Abatch") == .both(0, [1]))
        #expect(try items.match("/v1/items%3Abatches") == .route(0))
        // Nor does one make a protected path public, for handlers that don't decode.
        #expect(try items.match("/v1/open%3Adoor") == .both(0, [2]))
    }

    /// What is listed word by word is what the operator wants, whatever resembles it.
    @Test func takesListedPathsAtTheirWord() throws {
        let routes = RouteTable([
            Settings.Route(path: "/status"), Settings.Route(path: "/Status", isPublic: true),
            Settings.Route(path: "/a"), Settings.Route(path: "/a/", isPublic: true),
            Settings.Route(path: "/b%20c"), Settings.Route(path: "/B%20c", isPublic: true),
            Settings.Route(path: "/{x}", isPublic: true),
            Settings.Route(path: "/D", isPublic: true), Settings.Route(path: "/d"),
        ])
        #expect(try routes.match("/D") == .route(7))
        #expect(try routes.match("/d") == .route(8))
        #expect(try routes.match("/%64") == .route(8))
        #expect(try routes.match("/dD") == .route(6))
        #expect(try routes.match("//d") == .unknown)
        #expect(try routes.match("/status") == .route(0))
        #expect(try routes.match("/Status") == .route(1))
        #expect(try routes.match("/STATUS") == .both(6, [0, 1]))
        #expect(
            try RouteTable([
                Settings.Route(path: "/Status", isPublic: true), Settings.Route(path: "/status"),
                Settings.Route(path: "/{x}", isPublic: true),
            ]).match("/STATUS") == .both(2, [0, 1]))
        #expect(try routes.match("/a") == .route(2))
        #expect(try routes.match("/a/") == .route(3))
        #expect(try routes.match("/b%20c") == .route(4))
        #expect(try routes.match("/B%20c") == .route(5))
        #expect(try routes.match("/B%20C") == .both(6, [4, 5]))
    }

    @Test func suffixesAreReadLooselyOfListedPathsToo() throws {
        let routes = RouteTable([
            Settings.Route(path: "/report.pdf"), Settings.Route(path: "/.env"), Settings.Route(path: "/v1.0/{rest*}"),
            Settings.Route(path: "/admin.json", isPublic: true), Settings.Route(path: "/admin"),
            Settings.Route(path: "/{rest*}", isPublic: true),
        ])
        #expect(try routes.match("/report.pdf") == .route(0))
        #expect(try routes.match("/Report.pdf") == .both(5, [0]))
        #expect(try routes.match("/report") == .both(5, [0]))
        #expect(try routes.match("/report.csv") == .both(5, [0]))
        #expect(try routes.match("/.env") == .route(1))
        #expect(try routes.match("/.env.json") == .both(5, [1]))
        #expect(try routes.match("/.git") == .route(5))
        #expect(try routes.match("/V1.0/x.json") == .both(5, [2]))
        #expect(try routes.match("/v1.1/x") == .route(5))
        // What is listed word by word is at its word.
        #expect(try routes.match("/admin.json") == .route(3))
        #expect(try routes.match("/admin.xml") == .both(5, [3, 4]))
    }

    /// What is listed twice is the first's, in every spelling.
    @Test func leavesWhatAnEarlierRouteTakes() throws {
        let twice = RouteTable([
            Settings.Route(path: "/x/{id}", methods: ["GET"], isPublic: true), Settings.Route(path: "/x/{id}"),
            Settings.Route(path: "/X/{id}", methods: ["PUT"]), Settings.Route(path: "/{rest*}", isPublic: true),
        ])
        #expect(try twice.match("/x/1") == .route(0))
        #expect(try twice.match("/x/1", method: "POST") == .route(1))
        #expect(try twice.match("/X//1") == .both(3, [0]))
        #expect(try twice.match("/X//1", method: "PUT") == .both(3, [1, 2]))
        #expect(try twice.match("/x/1", method: "PUT") == .both(1, [2]))
    }

    /// Random spellings. Which of them some handler could take for the protected path says a reader that does everything
    /// wrong at once; those must be refused, or take that route.
    @Test func holdsForRandomSpellings() throws {
        var random = SplitMix(seed: 17)
        var concerned = 0
        var passed = 0
        for (path, index) in [("/api/listings", 3), ("/mcp", 4), ("/v1/items:batch", 5), ("/mcp/messages", 4)] {
            for _ in 0..<15_000 {
                let spelling = Spelling.of(path, using: &random)
                guard Spelling.mostCareless(spelling) == path else { continue }
                concerned += 1
                switch try routes.match(spelling) {
                case .refused: break
                case .route(index), .both(_, [index]): passed += 1
                case let outcome: Issue.record("\(spelling) became \(outcome)")
                }
            }
        }
        // The test is worth something only if it meets both.
        #expect(concerned > 20_000)
        #expect(passed > 2_000)
        #expect(concerned - passed > 2_000)
    }

    /// For random tables and spellings: what a request is asked for is all that its own route asks for, and all that the listed
    /// path asks for that a careless handler reads.
    @Test func neverAsksForLess() throws {
        var random = SplitMix(seed: 23)
        var joined = 0
        for _ in 0..<300 {
            let (routes, policies) = Self.table(using: &random)
            let plans = routes.map { Snapshot.RoutePlan($0, policies: policies, responseTimeout: .off) }
            let table = RouteTable(routes)
            for _ in 0..<60 {
                let listed = Int.random(in: routes.indices, using: &random)
                let path = routes[listed].path.replacing(/{[a-z]+\*?}/, with: "x")
                let spelling = Spelling.of(path, using: &random)
                let method = ["GET", "HEAD", "POST"].randomElement(using: &random) ?? "GET"
                let asked: Snapshot.RoutePlan
                let strict: Int
                switch try table.match(spelling, method: method) {
                case .route(let index): (strict, asked) = (index, plans[index])
                case .both(let index, let loose):
                    (strict, asked) = (index, Snapshot.RoutePlan(plans[index], and: loose.map { plans[$0] }))
                    joined += 1
                    for other in loose { Self.expect(asked, toAskForAllOf: plans[other], method) }
                default: continue
                }
                Self.expect(asked, toAskForAllOf: plans[strict], method)
                #expect((asked.isMCP, asked.pattern) == (plans[strict].isMCP, plans[strict].pattern))
                // The only route that is this path, to whomever: its spellings don't get around it.
                let isTold = routes.filter { Spelling.mostCareless($0.path) == Spelling.mostCareless(path) }.count == 1
                guard isTold, !routes[listed].path.contains("{"), Spelling.mostCareless(spelling) == path,
                    try table.match(path, method: method) == .route(listed)
                else { continue }
                Self.expect(asked, toAskForAllOf: plans[listed], method)
            }
        }
        #expect(joined > 300)
    }

    private static func expect(
        _ asked: Snapshot.RoutePlan, toAskForAllOf plan: Snapshot.RoutePlan, _ name: String
    ) {
        let method = Method.allCases.first { $0.name?.description == name } ?? .get
        let indices = asked.selection(for: method, name: name).indices
        for rule in plan.toolScopes { #expect(asked.toolScopes.contains(rule)) }
        #expect(Set(asked.messageSelection.indices).isSuperset(of: plan.messageSelection.indices))
        #expect(Set(asked.streamSelection.indices).isSuperset(of: plan.streamSelection.indices))
        #expect(asked.readsContent || !plan.readsContent)
        #expect(asked.matchesResources || !plan.matchesResources)
        #expect(asked.mayBeMCP || !plan.mayBeMCP)
        #expect(!asked.isPublic || plan.isPublic)
        #expect(asked.isThrottled || !plan.isThrottled)
        #expect(Set(asked.scopes).isSuperset(of: plan.scopes))
        #expect(Set(indices).isSuperset(of: plan.selection(for: method, name: name).indices))
        #expect(indices == indices.sorted() && Set(indices).count == indices.count)
    }

    private static func table(using random: inout SplitMix) -> ([Settings.Route], [Policy]) {
        let segments = ["a", "b", "c:d", "{x}"]
        let routes = (0..<Int.random(in: 2...9, using: &random)).map { _ in
            let parts = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                segments.randomElement(using: &random) ?? ""
            }
            let rest = Int.random(in: 0..<4, using: &random) == 0 ? ["{rest*}"] : []
            let isMCP = rest.isEmpty && Int.random(in: 0..<4, using: &random) == 0
            let toolScopes = ["u", "v"].filter { _ in isMCP && Bool.random(using: &random) }
            return Settings.Route(
                path: "/" + (parts + rest).joined(separator: "/"),
                methods: Int.random(in: 0..<3, using: &random) == 0 ? ["GET"] : [],
                isPublic: Int.random(in: 0..<3, using: &random) == 0,
                isThrottled: Int.random(in: 0..<3, using: &random) > 0, isMCP: isMCP,
                scopes: ["r", "s", "t"].filter { _ in Int.random(in: 0..<4, using: &random) == 0 },
                toolScopes: toolScopes.map { Settings.ToolScopes(tools: Glob("\($0)_*"), scopes: [$0]) })
        }
        let policies = (0..<6).map { number in
            Policy(
                name: "p\(number)", per: .key, limit: Limit(count: 1, periodMicroseconds: 1_000),
                match: Policy.Match(
                    routes: routes.map(\.path).filter { _ in Int.random(in: 0..<3, using: &random) == 0 },
                    methods: Bool.random(using: &random) ? ["GET"] : [],
                    tools: number == 4 ? [Glob("u_*")] : [], resources: number == 5 ? [Glob("file:*")] : []))
        }
        return (routes, policies)
    }

    /// Without routes, what is public is the unambiguous `/.well-known` alone.
    @Test func holdsWithoutRoutes() throws {
        var random = SplitMix(seed: 19)
        let open = RouteTable([])
        for _ in 0..<20_000 {
            let spelling = "/.well-known/" + Spelling.of("/../mcp/x", using: &random).dropFirst()
            guard try open.match(spelling) == .wellKnown else { continue }
            #expect(Spelling.mostCareless(spelling).hasPrefix("/.well-known/"), "\(spelling)")
        }
    }
}

private enum Spelling {
    static func of(_ path: String, using random: inout SplitMix) -> String {
        var spelling = ""
        for scalar in path.unicodeScalars { spelling += self.of(scalar, using: &random) }
        if Int.random(in: 0..<12, using: &random) == 0 {
            spelling += [".json", ".", "%2Exml", ".a.b"].randomElement(using: &random) ?? "."
        }
        switch Int.random(in: 0..<12, using: &random) {
        case 0: spelling += "/"
        case 1: spelling += "/."
        case 2: spelling += ";a=b"
        case 3: spelling = "/x/.." + spelling
        case 4: spelling = "/" + spelling
        case 5: spelling += "//"
        default: break
        }
        // A target begins with a slash that is one.
        return spelling.hasPrefix("/") ? spelling : "/" + spelling
    }

    private static func of(_ scalar: Unicode.Scalar, using random: inout SplitMix) -> String {
        let octet = UInt8(scalar.value)
        let plain = String(Character(scalar))
        switch Int.random(in: 0..<60, using: &random) {
        case 0, 1, 2: return escape(octet, using: &random)
        case 3: return plain.uppercased()
        case 4: return escape(UInt8(ascii: "%"), using: &random) + escape(octet, using: &random).dropFirst()
        case 5:
            return escape(0xC0 | octet >> 6, using: &random) + escape(0x80 | octet & 0x3F, using: &random)
        case 6 where plain == "/":
            return ["//", "/./", "/x/../", "\\", "%2f", "%5C", "/%2e/"].randomElement(using: &random) ?? "/"
        default: return plain
        }
    }

    private static func escape(_ octet: UInt8, using random: inout SplitMix) -> String {
        let digits = (octet < 16 ? "0" : "") + String(octet, radix: 16, uppercase: Bool.random(using: &random))
        return "%" + digits
    }

    /// Decodes twice and takes overlong forms, reads `\` as `/`, drops parameters, resolves dots, merges slashes, ignores
    /// case, a slash at the end and a suffix.
    static func mostCareless(_ spelling: String) -> String {
        let decoded = withoutOverlong(decode(decode(Array(spelling.utf8))))
        let text = String(decoding: decoded, as: UTF8.self).lowercased().replacing("\\", with: "/")
        var segments: [Substring] = []
        for part in text.split(separator: "/") {
            let segment = part.prefix { $0 != ";" && $0 != "\0" }
            switch segment {
            case "", ".": break
            case "..": _ = segments.popLast()
            default: segments.append(segment)
            }
        }
        if let last = segments.popLast() {
            segments.append(last.dropFirst().firstIndex(of: ".").map { last[..<$0] } ?? last)
        }
        return "/" + segments.joined(separator: "/")
    }

    private static func decode(_ octets: [UInt8]) -> [UInt8] {
        var decoded: [UInt8] = []
        var rest = octets[...]
        while let octet = rest.popFirst() {
            if octet == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                decoded.append(value)
                rest = rest.dropFirst(2)
            } else {
                decoded.append(octet)
            }
        }
        return decoded
    }

    private static func withoutOverlong(_ octets: [UInt8]) -> [UInt8] {
        var short: [UInt8] = []
        var rest = octets[...]
        while let octet = rest.popFirst() {
            if octet == 0xC0 || octet == 0xC1, let next = rest.popFirst() {
                short.append(octet << 6 | next & 0x3F)
            } else {
                short.append(octet)
            }
        }
        return short
    }
}
