// SPDX-License-Identifier: Apache-2.0

import Settings
import Testing

@testable import Proxy

@Suite struct AwaitedRoutesTests {
    /// The last three are told by a document.
    private let told = RouteTable(
        [
            Settings.Route(path: "/admin/{rest*}", methods: ["GET"], scopes: ["admin"]),
            Settings.Route(path: "/health", isPublic: true),
            Settings.Route(path: "/Users/{id}", methods: ["GET"]),
            Settings.Route(path: "/{a}/{b}", methods: ["GET", "POST"]),
            Settings.Route(path: "/Health", methods: ["GET"]),
            Settings.Route(path: "/files", methods: ["GET"]),
        ], listed: 3, isClosed: true)

    @Test(
        arguments: [
            ("GET", "/admin/x", .route(0)), ("GET", "/health", .route(1)), ("PUT", "/health", .route(1)),
            ("GET", "/files", .route(5)), ("POST", "/x/y", .route(3)), ("GET", "/x", .unknown),
            ("GET", "/FILES", .unknown), ("PUT", "/files", .notAllowed("GET, HEAD")),
            // A method that a listed route hasn't is no document's to add …
            ("POST", "/admin/x", .notAllowed("GET, HEAD")),
            // … in no spelling.
            ("POST", "/ADMIN/x", .notAllowed("GET, HEAD")), ("POST", "/%61dmin/x", .notAllowed("GET, HEAD")),
            ("POST", "/admin%20/x", .notAllowed("GET, HEAD")), ("POST", "/users/1", .notAllowed("GET, HEAD")),
            // Another spelling of what is listed is asked for the same, and for a key.
            ("GET", "/ADMIN/x", .both(3, [0])), ("GET", "/admin/x/", .route(0)), ("GET", "/users/1", .both(3, [2])),
            ("GET", "/Health", .both(4, [1])),
        ] as [(String, String, RouteTable.Outcome)])
    func whatIsToldTakesNothingFromWhatIsListed(_ method: String, _ path: String, _ outcome: RouteTable.Outcome) throws
    {
        #expect(try told.match(path, method: method) == outcome)
    }

    /// `/a` and `/docs/{p}/` are told, and ask for a key: no listed route opens them in another spelling, its own path though it
    /// be. Whoever means it lists them too.
    @Test(
        arguments: [
            ("/a/x", .route(0)), ("/a/", .both(0, [2])), ("/a", .both(2, [0])), ("/A/", .unknown),
            ("/docs/x", .both(1, [3])), ("/docs/x/", .both(3, [1])), ("/docs", .unknown),
        ] as [(String, RouteTable.Outcome)])
    func aListedRouteOpensNoSpellingOfWhatIsTold(_ path: String, _ outcome: RouteTable.Outcome) throws {
        let listed = [
            Settings.Route(path: "/a/{rest*}", isPublic: true), Settings.Route(path: "/docs/{page}", isPublic: true),
        ]
        let found = [Settings.Route(path: "/a"), Settings.Route(path: "/docs/{p}/")]
        #expect(try RouteTable(listed + found, listed: 2, isClosed: true).match(path) == outcome)
    }

    @Test func withoutAnyRouteAClosedTableKnowsNothing() throws {
        #expect(try RouteTable([], isClosed: true).match("/a") == .unknown)
        #expect(try RouteTable([], isClosed: true).match("/.well-known/x") == .unknown)
        #expect(try RouteTable([]).match("/a") == .anything)
    }

    /// A document that calls a parameter otherwise would else end a limit.
    @Test func aPolicyFindsItsRouteByItsShape() throws {
        let settings = try Settings.parse(
            """
            routes: [{openapi: /openapi.json}]
            policies: [{name: few, per: key, limit: 1/1m, match: {routes: ["/a/{id}", /gone]}}]
            """, named: "test.yaml")
        #expect(settings.unknownPolicyRoutes.isEmpty)
        let found = settings.with(
            found: [Settings.Route(path: "/a/{item_id}"), Settings.Route(path: "/b")], isComplete: true)
        #expect(found.routes.map(\.path) == ["/a/{id}", "/b"])
        #expect(found.unknownPolicyRoutes.map(\.route) == ["/gone"])
        #expect(found.unknownPolicyRoutes.map(\.policy) == ["few"])
    }

    @Test func settingsSayWhetherThereMayBeMore() throws {
        let settings = try Settings.parse(
            "routes: [{openapi: /openapi.json}, {path: /a}]", named: "test.yaml")
        #expect(settings.awaitsRoutes)
        #expect(try Snapshot(settings).routes.awaitsMore)
        let found = settings.with(found: [Settings.Route(path: "/b")], isComplete: true)
        #expect(!found.awaitsRoutes)
        #expect(found.routes.map(\.path) == ["/a", "/b"])
        // What was found before doesn't stay by itself.
        #expect(found.with(found: [], isComplete: true).routes.map(\.path) == ["/a"])
    }
}
