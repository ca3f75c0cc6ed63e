// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Proxy

/// Pages of other origins in front of handlers that have rules of their own about them.
@Suite struct PageTests {
    private static let page = "https://app.example.com"
    private static let local = "http://localhost:5173"
    private static let foreign = "https://evil.example"
    private static let own = "127.0.0.1:1"
    private static let cors = "cors: {allow_origins: ['https://app.example.com', 'http://localhost:5173']}\n"
    private static let origins = "mcp: {hosts: [], origins: ['https://app.example.com', 'http://localhost:*']}\n"
    private static let routes = """
        routes:
          - {path: /health, methods: [GET], public: true, throttle: false}
          - {path: /api/listings, methods: [GET]}
          - {path: /api/listings, methods: [POST]}
          - {path: /open, public: true}
          - {path: /mcp, mcp: true}

        """
    private static let upstream = """
        redis: {on_failure: open}
        upstream: {url: "http://127.0.0.1:1"}

        """
    /// Nobody needs a key where none is the matter.
    private static let anonymous = "keys: {anonymous: allow}\n"
    private static let judging = routes + upstream + anonymous + cors + origins

    private static let list = #"{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}"#
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    private func post(_ client: EmbeddedClient, _ fields: [String] = []) throws -> EmbeddedClient.Exchanged {
        let types = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
        return try client.ask("POST /mcp", types + fields, body: Self.list, answer: Self.answer)
    }

    // MARK: Origin

    @Test(arguments: [page, local, "http://localhost"])
    func theHandlerSeesItsOwnOriginOfAJudgedPage(origin: String) throws {
        let posted = try post(EmbeddedClient(Self.judging), ["Origin: \(origin)"])
        #expect(posted.answer.status == 200)
        #expect(posted.forwarded("Host") == [Self.own])
        #expect(posted.forwarded("Origin") == ["http://\(Self.own)"])
    }

    @Test(arguments: [
        ("GET", ["Origin: \(page)"]), ("DELETE", ["Origin: \(page)", "Origin: \(local)"]),
    ])
    func anOriginGivenTwiceBecomesOne(method: String, fields: [String]) throws {
        let asked = try EmbeddedClient(Self.judging).ask("\(method) /mcp", fields)
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded("Origin") == ["http://\(Self.own)"])
    }

    @Test func aProgramIsNoPage() throws {
        let posted = try post(EmbeddedClient(Self.judging))
        #expect(posted.answer.status == 200)
        #expect(posted.forwarded("Origin") == [])
    }

    @Test(arguments: [foreign, "null", "http://app.example.com", ""])
    func aPageThatIsNotListedIsRefusedHere(origin: String) throws {
        let client = try EmbeddedClient(Self.judging)
        let answer = try post(client, ["Origin: \(origin)"]).answer
        #expect(answer.status == 403)
        #expect(answer.body.contains(#""error":{"code":40300,"message":"Origin not allowed","#))
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: [
        routes + upstream + cors + "mcp: {hosts: [], origins: []}", routes + upstream + origins,
        routes + cors + origins + "upstream: {url: 'http://127.0.0.1:1', host: preserve}\nredis: {on_failure: open}",
        upstream + cors + origins + "routes: [{path: /mcp, mcp: true, host: preserve}]",
    ])
    func elsewhereItPassesAsItIs(settings: String) throws {
        let posted = try post(EmbeddedClient(settings + "\n" + Self.anonymous), ["Origin: \(Self.page)"])
        #expect(posted.answer.status == 200)
        #expect(posted.forwarded("Origin") == [Self.page])
    }

    @Test(arguments: [page, foreign, "null"])
    func otherRoutesPassEveryOrigin(origin: String) throws {
        let asked = try EmbeddedClient(Self.judging).ask("GET /api/listings", ["Origin: \(origin)"])
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded("Origin") == [origin])
    }

    // MARK: Where the handler does CORS itself

    private static let notice =
        "notice a page of another origin was refused and can't read why: list its origin in cors.allow_origins"

    private func notices(_ client: EmbeddedClient) -> Int {
        client.log.lines.filter { $0.hasPrefix(Self.notice) }.count
    }

    @Test func thatPagesCannotReadRefusalsIsSaidOnce() throws {
        let client = try EmbeddedClient(Self.routes + Self.upstream, from: "127.0.0.1")
        // Neither a program nor a page of our own misses anything, nor does one that is answered.
        #expect(try client.ask("GET /api/listings").answer.status == 401)
        let own = ["Host: api.example.com", "Origin: https://api.example.com"]
        #expect(try client.ask("GET /api/listings", own).answer.status == 401)
        let behind = ["Host: inner", "X-Forwarded-Host: api.example.com", "Origin: https://api.example.com"]
        #expect(try client.ask("GET /api/listings", behind).answer.status == 401)
        #expect(try client.ask("GET /open", ["Origin: \(Self.page)"]).answer.status == 200)
        #expect(notices(client) == 0)
        #expect(try client.ask("GET /api/listings", ["Origin: \(Self.page)"]).answer.status == 401)
        #expect(notices(client) == 1)
        #expect(try client.ask("GET /nothing", ["Origin: null"]).answer.status == 404)
        #expect(try client.ask("GET /health").answer.status == 200)
        #expect(notices(client) == 1)
    }

    @Test func anAnswerInTheHandlersSteadIsARefusalToo() throws {
        let client = try EmbeddedClient(Self.routes + Self.upstream + Self.anonymous)
        let asked = try client.ask("POST /api/listings", ["Origin: \(Self.page)"], answer: nil)
        #expect(asked.answer.status == 502)
        #expect(notices(client) == 1)
    }

    @Test func nothingIsSaidWhereCORSIsOurs() throws {
        let client = try EmbeddedClient(Self.routes + Self.upstream + Self.cors)
        for origin in [Self.page, Self.foreign] {
            #expect(try client.ask("GET /api/listings", ["Origin: \(origin)"]).answer.status == 401)
        }
        #expect(try client.ask("GET /health").answer.status == 200)
        #expect(notices(client) == 0)
    }

    // MARK: The metadata of the resource

    private static let metadata = """
        mcp:
          resource_metadata:
            {resource: "https://api.example.com/mcp", authorization_servers: ["https://login.example.com"]}

        """
    private static let paths = [
        "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource",
    ]

    @Test(arguments: [routes, routes + cors, routes + "preflights: refuse\n", ""], paths)
    func aPageMayAskForTheMetadata(settings: String, path: String) throws {
        let client = try EmbeddedClient(settings + Self.upstream + Self.metadata)
        let asks = [
            "Origin: \(Self.foreign)", "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: mcp-protocol-version",
        ]
        let preflight = try client.ask("OPTIONS \(path)", asks).answer
        #expect(preflight.status == 204)
        #expect(preflight["Access-Control-Allow-Origin"] == "*")
        #expect(preflight["Access-Control-Allow-Methods"] == "GET, HEAD")
        #expect(preflight["Access-Control-Allow-Headers"] == "mcp-protocol-version")
        #expect(preflight.all("Access-Control-Allow-Credentials") == [])
        let answer = try client.ask(
            "GET \(path)", ["Origin: \(Self.foreign)", "MCP-Protocol-Version: 2025-11-25"]
        ).answer
        #expect(answer.status == 200)
        #expect(answer["Access-Control-Allow-Origin"] == "*")
        #expect(answer.body.contains(#""resource":"https://api.example.com/mcp""#))
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: [("OPTIONS", []), ("OPTIONS", ["Origin: \(page)"]), ("POST", [])] as [(String, [String])])
    func whatIsNoPreflightIsAPathLikeAnyOther(method: String, fields: [String]) throws {
        let client = try EmbeddedClient(Self.routes + Self.upstream + Self.metadata)
        #expect(try client.ask("\(method) \(Self.paths[0])", fields).answer.status == 404)
        #expect(client.handlers.isEmpty)
    }
}
