// SPDX-License-Identifier: Apache-2.0

import Directory
import Settings
import Testing

@testable import tollgate

@Suite struct PublishedRoutesTests {
    private typealias Access = RouteSet.Route.Access

    private func published(_ text: String, found: [Settings.Route]? = nil) throws -> RouteSet {
        var settings = try Settings.parse(text, named: "t.yaml")
        if let found { settings = settings.with(found: found, isComplete: true) }
        return RouteSet.published(settings).set
    }

    private static let policies = """
        policies:
          - {name: address, per: address, limit: 9/1s}
          - {name: callers, per: address, applies_to: authenticated, limit: 9/1s}
          - {name: org, per: org, limit: 9/1s}
          - {name: all, per: global, limit: 9/1s}
          - {name: writing, per: key, limit: 9/1s, match: {methods: [POST]}}

        """

    @Test func whatARouteAsksForIsToldWithIt() throws {
        let set = try published(
            Self.policies + """
                  - {name: one, per: key, limit: 9/1s, match: {routes: [/a]}}
                  - {name: tools, per: key, limit: 9/1s, match: {tools: ["*"]}}
                routes:
                  - {path: /a, methods: [GET], scopes: [read]}
                  - {path: /b}
                  - {path: /health, public: true, throttle: false}
                  - {path: /open, public: true, methods: [POST]}
                  - {path: /mcp, mcp: true, tool_scopes: {"db_*": [write]}}
                """)
        #expect(set.routes.map(\.path) == ["/a", "/b", "/health", "/open", "/mcp"])
        #expect(set.routes.map(\.methods) == [["GET"], [], [], ["POST"], ["DELETE", "GET", "POST"]])
        #expect(set.routes.map(\.access) == [Access.key, Access.key, Access.public, Access.public, Access.key])
        #expect(set.routes.map(\.isMCP) == [false, false, false, false, true])
        #expect(set.routes.map(\.isThrottled) == [true, true, false, true, true])
        #expect(set.routes.map(\.scopes) == [["read"], [], [], [], []])
        #expect(set.routes.map(\.toolScopes) == [[], [], [], [], [.init(tools: "db_*", scopes: ["write"])]])
        #expect(set.routes.allSatisfy { !$0.isFromDocument })
        #expect(
            set.routes.map(\.policies) == [
                ["callers", "org", "all", "one"],
                // Some of its methods.
                ["callers", "org", "all", "writing"],
                [],
                ["address", "all"],
                ["callers", "org", "all", "writing", "tools", "handshake", "open-streams"],
            ])
        #expect(!set.awaitsDocument)
    }

    @Test func withoutKeysWhatAsksForNoScopeIsOptional() throws {
        let set = try published(
            Self.policies + """
                keys: {anonymous: allow}
                routes: [{path: /a, scopes: [read]}, {path: /b}, {path: /c, public: true}]
                """)
        #expect(set.routes.map(\.access) == [Access.key, Access.optional, Access.public])
        #expect(set.routes[1].policies == ["address", "callers", "org", "all", "writing"])
    }

    @Test func withoutRoutesEveryPathIsProtected() throws {
        let set = try published(Self.policies)
        #expect(set.routes.map(\.path) == ["/{rest*}"])
        #expect(set.routes.map(\.access) == [Access.key])
        #expect(set.routes.map(\.policies) == [["callers", "org", "all", "writing"]])
    }

    @Test func whatADocumentTellsStandsBehindWhatIsListed() throws {
        let text = "routes: [{openapi: /openapi.json}, {path: /health, public: true}]\n"
        let before = try published(text)
        #expect(before.awaitsDocument)
        #expect(before.routes.map(\.path) == ["/health"])
        let after = try published(text, found: [Settings.Route(path: "/a", methods: ["GET"])])
        #expect(!after.awaitsDocument)
        #expect(after.routes.map(\.path) == ["/health", "/a"])
        #expect(after.routes.map(\.isFromDocument) == [false, true])
        #expect(after.hash != before.hash)
        // Only a document is read: nothing is known beside it.
        #expect(try published("routes: [{openapi: /openapi.json}]\n").routes.isEmpty)
    }
}
