// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

/// Pages of other origins: preflights are answered without a key, and every answer can be read.
@Suite struct CrossOriginTests {
    private static let page = "https://app.example.com"
    private static let foreign = "https://evil.example"
    private static let exposed: Set = [
        "X-Correlation-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit",
        "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "Mcp-Session-Id",
    ]
    private static let asks = asking(of: page)

    private static func asking(of origin: String) -> [String] {
        [
            "Origin: \(origin)", "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: x-api-key, content-type",
        ]
    }

    private static let routes =
        EmbeddedClient.shop + "  - {path: /health, methods: [GET], public: true, throttle: false}\n"
    private static let upstream = EmbeddedClient.open
    private static let cors = """
        cors:
          allow_origins: ["https://app.example.com", "http://localhost:3000"]
          allow_credentials: true
          max_age: 600

        """
    /// Nobody needs a key where none is the matter.
    private static let anonymous = "keys: {anonymous: allow}\n"

    private static func shared(_ settings: String = anonymous) throws -> EmbeddedClient {
        try EmbeddedClient(routes + upstream + cors + settings)
    }

    /// The page may read the answer, and everything that a page may want of it.
    private func expectAllowed(_ answer: ClientAnswer, _ origin: String = page) {
        #expect(answer["Access-Control-Allow-Origin"] == origin)
        #expect(answer["Access-Control-Allow-Credentials"] == "true")
        #expect(answer.listed("Access-Control-Expose-Headers").isSuperset(of: Self.exposed))
        #expect(answer.listed("Vary").contains("Origin"))
    }

    private func names(_ answer: ClientAnswer) -> [String] {
        answer.fields.map(\.name).filter { $0.hasPrefix("Access-Control-") }
    }

    // MARK: Preflights

    @Test(
        arguments: [
            ("/health", "GET, HEAD"), ("/api/listings/7", "GET, HEAD"),
            ("/files/a/b", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), ("/mcp", "DELETE, GET, HEAD, POST"),
            ("/mcp/messages", "DELETE, GET, HEAD, POST"),
        ], [nil, ""] as [String?])
    func theMethodsAreThoseOfThePath(row: (path: String, methods: String), body: String?) throws {
        let fields = ["Origin: \(Self.page)", "Access-Control-Request-Method: DELETE"]
        let answer = try Self.shared("").ask("OPTIONS \(row.path)", fields, body: body).answer
        #expect(answer.status == 204)
        #expect(answer["Access-Control-Allow-Methods"] == row.methods)
    }

    @Test func withoutRoutesTheCommonMethodsAreNamed() throws {
        let client = try EmbeddedClient(Self.upstream + "cors: {allow_origins: ['https://app.example.com']}")
        let answer = try client.ask("OPTIONS /what/ever", Self.asks).answer
        #expect(answer["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
        #expect(answer.all("Access-Control-Allow-Credentials") == [])
        #expect(client.handlers.isEmpty)
    }

    @Test func withoutFieldsAskedForNoneAreNamed() throws {
        let fields = ["Origin: \(Self.page)", "Access-Control-Request-Method: POST"]
        let answer = try Self.shared("").ask("OPTIONS /api/listings", fields).answer
        #expect(answer.status == 204)
        #expect(answer["Access-Control-Allow-Origin"] == Self.page)
        #expect(answer.all("Access-Control-Allow-Headers") == [])
    }

    @Test(arguments: [
        foreign, "null", "https://app.example.com.evil.example", "https://app.example.co", "http://app.example.com",
        "https://app.example.com:8443", "https://app.example.com/", "https://sub.app.example.com", "app.example.com",
    ])
    func aForeignOriginIsToldNothing(origin: String) throws {
        let client = try Self.shared()
        let preflight = try client.ask("OPTIONS /api/listings", Self.asking(of: origin)).answer
        #expect(preflight.status == 204)
        #expect(names(preflight) == [])
        #expect(preflight.listed("Vary").contains("Origin"))
        #expect(client.handlers.isEmpty)
        let answer = try client.ask("GET /api/listings", ["Origin: \(origin)"]).answer
        #expect(answer.status == 200)
        #expect(names(answer) == [])
        #expect(answer.listed("Vary").contains("Origin"))
    }

    @Test func whatIsNoPreflightNeedsAKey() throws {
        let client = try Self.shared("")
        #expect(try client.ask("OPTIONS /files/a", ["Origin: \(Self.page)"]).answer.status == 401)
        // One with a body is none either: it could carry anything past the gate.
        #expect(try client.ask("OPTIONS /files/a", Self.asks, body: "x").answer.status == 401)
        #expect(client.handlers.isEmpty)
        let allowed = try Self.shared().ask("OPTIONS /files/a", ["Origin: \(Self.page)"])
        #expect(allowed.answer.status == 200)
        #expect(allowed.forwarded.first == "OPTIONS /files/a HTTP/1.1")
        let keyed = try Triaged(
            "OPTIONS /files/a", ["Origin: \(Self.page)", "X-API-Key: mcp_a"], by: Self.routes + Self.cors)
        #expect(keyed.description == "protected mcp_a")
    }

    // MARK: Answers

    @Test func aBodyThatTurnsBadIsRefusedReadably() throws {
        let client = try Self.shared()
        try client.send(
            "POST /api/listings HTTP/1.1\r\nHost: h\r\nOrigin: \(Self.page)\r\n"
                + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        let answers = try client.answers()
        #expect(answers.map(\.status) == [400])
        expectAllowed(answers[0])
    }

    private static let answer = """
        HTTP/1.1 200 OK\r
        Content-Length: 4\r
        Access-Control-Allow-Origin: *\r
        Access-Control-Allow-Credentials: false\r
        Access-Control-Allow-Methods: PUT\r
        Access-Control-Allow-Headers: x-mine\r
        Access-Control-Max-Age: 5\r
        Access-Control-Expose-Headers: X-Mine\r
        Vary: Accept\r
        \r
        mine
        """

    @Test func ourFieldsReplaceTheHandlersAndItsListIsAddedTo() throws {
        let client = try Self.shared()
        let answer = try client.ask(
            "GET /api/listings", ["Origin: http://localhost:3000"], answer: Self.answer
        ).answer
        expectAllowed(answer, "http://localhost:3000")
        #expect(answer.body == "mine")
        #expect(answer.listed("Access-Control-Expose-Headers") == Self.exposed.union(["X-Mine"]))
        #expect(answer.listed("Vary").isSuperset(of: ["Accept", "Origin"]))
        for name in ["Methods", "Headers"] { #expect(answer.all("Access-Control-Allow-\(name)") == []) }
        #expect(answer.all("Access-Control-Max-Age") == [])
    }

    /// To no page, and to one that may not read, the handler's own word isn't passed on either.
    @Test(arguments: [[], ["Origin: \(foreign)"]])
    func toOthersTheHandlersWordEnds(fields: [String]) throws {
        let answer = try Self.shared().ask("GET /api/listings", fields, answer: Self.answer).answer
        #expect(answer.all("Access-Control-Allow-Origin") == [])
        #expect(answer.all("Access-Control-Allow-Credentials") == [])
        #expect(answer["Access-Control-Expose-Headers"] == "X-Mine")
    }

    @Test func anOriginGivenTwiceIsNone() throws {
        let fields = ["Origin: \(Self.page)", "Origin: \(Self.page)"]
        let answer = try Self.shared().ask("GET /api/listings", fields).answer
        #expect(answer.status == 200)
        #expect(names(answer) == [])
    }

    @Test func anyOriginMayBeAllowed() throws {
        let client = try EmbeddedClient(
            Self.routes + Self.upstream + Self.anonymous + "cors: {allow_origins: ['*']}")
        let preflight = try client.ask("OPTIONS /api/listings", Self.asking(of: "null")).answer
        #expect(preflight.status == 204)
        #expect(preflight["Access-Control-Allow-Origin"] == "*")
        #expect(preflight["Access-Control-Max-Age"] == "600")
        for fields in [["Origin: \(Self.foreign)"], []] {
            let answer = try client.ask("GET /api/listings", fields).answer
            #expect(answer.status == 200)
            #expect(answer["Access-Control-Allow-Origin"] == "*")
            #expect(answer.listed("Access-Control-Expose-Headers") == Self.exposed)
            #expect(answer.all("Access-Control-Allow-Credentials") == [])
            #expect(!answer.listed("Vary").contains("Origin"))
        }
    }

    @Test func withoutCORSItIsTheHandlersBusiness() throws {
        let client = try EmbeddedClient(Self.routes + Self.upstream)
        let preflight = try client.ask(
            "OPTIONS /api/listings", Self.asks,
            answer: "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Max-Age: 5\r\n\r\n")
        #expect(preflight.answer.status == 204)
        #expect(preflight.answer["Access-Control-Allow-Origin"] == "*")
        #expect(preflight.answer["Access-Control-Max-Age"] == "5")
        #expect(preflight.answer.all("Access-Control-Expose-Headers") == [])
        #expect(preflight.forwarded.first == "OPTIONS /api/listings HTTP/1.1")
        let refused = try client.ask("GET /api/listings", ["Origin: \(Self.page)"]).answer
        #expect(refused.status == 401)
        #expect(names(refused) == [])
    }
}
