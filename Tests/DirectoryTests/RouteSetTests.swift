// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

/// The text is a wire format: sidecars and CLIs of other versions read it.
@Suite struct RouteSetTests {
    private typealias Route = RouteSet.Route

    private static let all: [Route] = {
        var mcp = Route("/mcp", methods: ["DELETE", "GET", "POST"])
        mcp.isMCP = true
        mcp.scopes = ["mcp"]
        mcp.toolScopes = [.init(tools: "db_*", scopes: ["db:write"])]
        mcp.policies = ["org", "handshake"]
        var health = Route("/health", methods: ["GET"], access: Route.Access.public)
        health.isThrottled = false
        var found = Route("/a/{id}", access: Route.Access.optional)
        found.policies = ["org"]
        found.isFromDocument = true
        var other = Route("/b")
        other.policies = ["org", "handshake"]
        return [mcp, health, found, other]
    }()

    @Test func theTextIsAsDocumented() {
        let published = RouteSet.published(Self.all, awaitsDocument: true)
        #expect(
            published.text == """
                {"awaits_document":true,"policies":[["org","handshake"],["org"]],"routes":[\
                {"access":"key","mcp":true,"methods":["DELETE","GET","POST"],"path":"/mcp","policies":0,\
                "scopes":["mcp"],"tool_scopes":[{"scopes":["db:write"],"tools":"db_*"}]},\
                {"access":"public","methods":["GET"],"path":"/health","throttle":false},\
                {"access":"optional","document":true,"path":"/a/{id}","policies":1},\
                {"access":"key","path":"/b","policies":0}]}
                """)
        #expect(published.set.routes == Self.all)
        #expect(published.set.hash.wholeMatch(of: /[0-9a-f]{32}/) != nil)
        #expect(RouteSet(parsing: published.text, hash: published.set.hash) == published.set)
        #expect(RouteSet.published([]).text == #"{"routes":[]}"#)
    }

    /// Another order is another table: of two routes with one pattern the first counts.
    @Test func whatDiffersHasAnotherHash() {
        let hashes = [
            RouteSet.published(Self.all), RouteSet.published(Self.all, awaitsDocument: true),
            RouteSet.published(Self.all.reversed()), RouteSet.published(Self.all.dropLast()), RouteSet.published([]),
        ].map(\.set.hash)
        #expect(Set(hashes).count == hashes.count)
        #expect(RouteSet.published(Self.all).set.hash == hashes[0])
    }

    /// The most that a document tells, each with a path of 256 characters and all that a route can have besides.
    private static func many(_ count: Int, length: Int = 256) -> [Route] {
        (0..<count).map { number in
            var route = Route("/\(number)/".padding(to: length), methods: ["DELETE", "GET", "PATCH", "POST", "PUT"])
            route.policies = ["address", "org", "search"]
            route.isFromDocument = true
            return route
        }
    }

    @Test func theOperationsOfTheLargestDocumentFit() {
        let routes = Self.many(2_000)
        let published = RouteSet.published(routes)
        #expect(published.set.omitted == 0)
        #expect(published.text.utf8.count <= RouteSet.longest)
        #expect(RouteSet(parsing: published.text, hash: published.set.hash)?.routes == routes)
    }

    @Test func whatDoesNotFitIsCounted() throws {
        let routes = Self.many(2_000, length: 1_024)
        let published = RouteSet.published(routes)
        #expect(published.text.utf8.count <= RouteSet.longest)
        #expect(published.text.utf8.count > RouteSet.longest * 9 / 10)
        let read = try #require(RouteSet(parsing: published.text, hash: published.set.hash))
        #expect(read == published.set)
        #expect(read.omitted > 0 && read.routes.count + read.omitted == 2_000)
        #expect(read.routes == Array(routes.prefix(read.routes.count)))
        // Sets that differ only in what is omitted are two.
        #expect(RouteSet.published(routes.dropLast()).set.hash != read.hash)
        var huge = Route("/a")
        huge.scopes = [String(repeating: "s", count: RouteSet.longest)]
        #expect(RouteSet.published([huge]).text == #"{"omitted":1,"routes":[]}"#)
    }

    /// Of a newer version, or written by somebody else.
    @Test func whatIsUnknownIsPassedOver() throws {
        let text = """
            {"new":1,"policies":[["org"]],"omitted":-3,"routes":[{"path":"/a","access":"passport","policies":9,"new":{}}]}
            """
        let read = try #require(RouteSet(parsing: text, hash: "h"))
        #expect(read.routes == [Route("/a", access: "passport")])
        #expect(read.omitted == 0)
        for text in ["", "[]", "{}", #"{"routes":[{"path":"/a"}]}"#, #"{"routes":[{"path":1,"access":"key"}]}"#] {
            #expect(RouteSet(parsing: text, hash: "h") == nil)
        }
        let long = #"{"routes":[]}"# + String(repeating: " ", count: RouteSet.longest)
        #expect(RouteSet(parsing: long, hash: "h") == nil)
    }

    // MARK: In Redis

    private let database = Array("0123456789abcdef0123456789abcdef".utf8)
    private let policies = PolicySet.published([])

    private func withSidecars(_ body: (Sidecars, RedisClient) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            _ = try await booth.client.send("SET", "tg:1:{:m}:meta", String(decoding: database, as: UTF8.self))
            try await body(Sidecars(booth.client, namespace: "tg"), booth.client)
        }
    }

    private func beat(_ sidecars: Sidecars, _ name: String, _ routes: RouteSet.Published?) async throws -> Bool {
        try await sidecars.beat(
            name, version: "1.0", policies: policies.set, text: policies.text, routes: routes, database: database)
    }

    @Test func aBeatNamesRoutesThatAreThere() async throws {
        try await withSidecars { sidecars, redis in
            let published = RouteSet.published(Self.all)
            let name = "tg:1:{:m}:routes:\(published.set.hash)"
            #expect(try await beat(sidecars, "web", published))
            #expect(try await redis.send("GET", name).text == published.text)
            let left = try #require(try await redis.send("TTL", name).integer)
            #expect((70...80).contains(left))
            #expect(
                try await redis.send("ZRANGE", "tg:1:{:m}:sidecars", "0", "-1").array?.map(\.text)
                    == ["web@1.0/\(published.set.hash):\(policies.set.hash)"])
            #expect(try await sidecars.live().map(\.routes) == [published.set.hash])
            #expect(try await sidecars.routeSet(published.set.hash) == published.set)
            // The next beat sends no text, and keeps what is there.
            _ = try await redis.send("SET", name, "kept", "EX", "10")
            #expect(try await beat(sidecars, "web", published))
            #expect(try await redis.send("GET", name).text == "kept")
            #expect(try #require(try await redis.send("TTL", name).integer) > 60)
            // One that lapsed, or was deleted, comes again.
            _ = try await redis.send("DEL", name)
            #expect(try await sidecars.routeSet(published.set.hash) == nil)
            #expect(try await beat(sidecars, "web", published))
            #expect(try await sidecars.routeSet(published.set.hash) == published.set)
        }
    }

    /// One of an older version beside it publishes none.
    @Test func whoEndsIsGoneWithItsRoutes() async throws {
        try await withSidecars { sidecars, _ in
            let published = RouteSet.published(Self.all)
            #expect(try await beat(sidecars, "web", published))
            #expect(try await beat(sidecars, "old", nil))
            let live = try await sidecars.live().sorted { $0.name < $1.name }
            #expect(live.map(\.name) == ["old", "web"])
            #expect(live.map(\.version) == ["1.0", "1.0"])
            #expect(live.map(\.routes) == [nil, published.set.hash])
            try await sidecars.retire("web", version: "1.0", policies: policies.set, routes: published.set)
            #expect(try await sidecars.live().map(\.name) == ["old"])
        }
    }

    @Test func nothingIsPublishedIntoAnotherDatabase() async throws {
        try await withSidecars { sidecars, redis in
            _ = try await redis.send("SET", "tg:1:{:m}:meta", "another")
            #expect(try await beat(sidecars, "web", RouteSet.published(Self.all)) == false)
            #expect(try await redis.send("KEYS", "*").array?.compactMap(\.text) == ["tg:1:{:m}:meta"])
        }
    }

    /// Somebody else wrote it.
    @Test func whatIsLongerThanASetIsNone() async throws {
        try await withSidecars { sidecars, redis in
            let long = #"{"routes":[]}"# + String(repeating: " ", count: 3 * RouteSet.longest)
            _ = try await redis.send("SET", "tg:1:{:m}:routes:h", long)
            #expect(try await sidecars.routeSet("h") == nil)
            _ = try await redis.send("SET", "tg:1:{:m}:routes:h", String(long.prefix(RouteSet.longest)))
            #expect(try await sidecars.routeSet("h")?.routes == [])
        }
    }
}

extension String {
    fileprivate func padding(to length: Int) -> String { self + String(repeating: "x", count: length - utf8.count) }
}
