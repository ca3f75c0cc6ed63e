// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOPosix
import Settings
import Testing

@testable import OpenAPI

@Suite struct RoutesTests {
    private func routes(_ paths: [String], rest: [String] = []) throws -> (routes: [Settings.Route], left: [String]) {
        let items = paths.map { #""\#($0)": {"get": {}}"# }.joined(separator: ",")
        let document = try Document(
            Array(#"{"openapi": "3.1.0", "paths": {\#(items)}}"#.utf8), readAt: "/openapi.json")
        var left: [String] = []
        let routes = document.routes(rest: rest) { left.append($0) }
        return (routes, left)
    }

    @Test(
        arguments: [
            ("/", "/"), ("/a/{id}", "/a/{id}"), ("/a/{item-id}/", "/a/{item_id}/"), ("/a/{b}.json", "/a/{_b__json}"),
            ("/{a}-{b}", "/{_a___b_}"), ("/a b/ü", "/a%20b/%C3%BC"), ("/files/{path}", "/files/{path*}"),
            ("/{path}/x", "/{path}/x"), ("/{a}/{a}", "/{a}/{a_2}"), ("/{1}", "/{_1}"),
        ]) func aPathIsWrittenAsRoutesAre(_ told: String, _ path: String) throws
    {
        let (routes, left) = try routes([told], rest: ["path"])
        #expect(routes == [Settings.Route(path: path, methods: ["GET"])])
        #expect(left == [])
    }

    @Test(arguments: ["/a//b", "/a/../b", "/a/%2f", "/a;b", "/a*"]) func aPathThatNoRouteHasIsNamed(_ path: String)
        throws
    {
        let (routes, left) = try routes([path])
        #expect(routes == [])
        #expect(left == ["GET \(path): a path that no route can have"])
    }

    /// Telling the names of parameters apart would take longer than a document is worth.
    @Test func anEndlessPathIsNamed() throws {
        let path = String(repeating: "/{a}", count: 500_000)
        let (routes, left) = try routes([path])
        #expect(routes == [])
        #expect(left == ["GET \(path.prefix(200)): a path that no route can have"])
    }

    @Test func aPathIsOneRouteWithItsMethods() throws {
        let text =
            #"{"openapi": "3.1.0", "paths": {"/a/{x}": {"put": {}, "get": {}}, "/a/{y}": {"post": {}, "get": {}}}}"#
        let document = try Document(Array(text.utf8), readAt: "/")
        #expect(document.routes(rest: []) == [Settings.Route(path: "/a/{x}", methods: ["GET", "POST", "PUT"])])
    }

    @Test(
        arguments: [
            ("/a", "/a", true), ("/a", "/b", false), ("/a/{x}", "/a/{y}", true), ("/a/b", "/a/{y}", true),
            ("/a/{x}", "/a/b", false), ("/admin/users", "/admin/{rest*}", true), ("/admin/", "/admin/{rest*}", true),
            ("/admin", "/admin/{rest*}", false), ("/a/{x*}", "/a/{rest*}", true), ("/a/{x*}", "/a/{b}", false),
            ("/a/users/{y}", "/a/{x}/edit", true), ("/{x}/b", "/a/{y}", false), ("/a/b/c", "/a/{x}", false),
            ("/{x}/{y*}", "/a/b", false), ("/a/{y*}", "/{x}/b", true),
        ]) func nothingIsTakenFromAListedEntry(_ found: String, _ listed: String, _ takes: Bool)
    {
        #expect(Precedence([Settings.Route(path: listed)]).takes(found) == takes)
    }

    @Test func anMCPRouteHasAllBelow() {
        let mcp = Precedence([Settings.Route(path: "/b"), Settings.Route(path: "/mcp", isMCP: true)])
        #expect(["/mcp", "/mcp/", "/mcp/x/y"].allSatisfy(mcp.takes))
        #expect(!mcp.takes("/mcpx"))
        #expect(Precedence([Settings.Route(path: "/", isMCP: true)]).takes("/a"))
    }
}
