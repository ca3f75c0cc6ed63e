// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Proxy

/// What a caller is told: statuses, fields and bodies (docs/design.md, "The order of a request", "Responses").
@Suite struct AnswerTests {
    private static let (routes, upstream) = (EmbeddedClient.shop, EmbeddedClient.open)
    private static let keyed = routes + upstream
    /// Nobody needs a key where none is the matter.
    private static let anonymous = keyed + "keys: {anonymous: allow}\nmcp: {hosts: [], origins: []}\n"
    private static let key = "mcp_" + String(repeating: "A", count: 43)
    private static let other = "mcp_" + String(repeating: "B", count: 43)

    // MARK: Routes

    @Test(arguments: [[], ["X-API-Key: \(key)"]])
    func anUnknownPathIs404WhateverTheCredential(fields: [String]) throws {
        let client = try EmbeddedClient(Self.keyed)
        let answer = try client.ask("GET /api/nonexistent?page=2", fields).answer
        answer.expectProblem(
            404, "Not Found", "Route '/api/nonexistent' not found",
            then: #","path":"/api/nonexistent","method":"GET""#)
        #expect(answer.all("WWW-Authenticate") == [])
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: [[], ["X-API-Key: \(key)"]])
    func anotherMethodIs405WhateverTheCredential(fields: [String]) throws {
        let client = try EmbeddedClient(Self.keyed)
        let answer = try client.ask("DELETE /api/listings", fields).answer
        answer.expectProblem(
            405, "Method Not Allowed", "Method Not Allowed", then: #","path":"/api/listings","method":"DELETE""#)
        #expect(answer["Allow"] == "GET, HEAD, POST")
        #expect(client.handlers.isEmpty)
    }

    @Test func aLongPathIsCutInThe404() throws {
        let path = "/" + String(repeating: "n", count: 400)
        let cut = path.prefix(256)
        try EmbeddedClient(Self.keyed).ask("GET \(path)").answer.expectProblem(
            404, "Not Found", "Route '\(cut)' not found", then: #","path":"\#(cut)","method":"GET""#)
    }

    @Test func wellKnownIs404WithoutAChallenge() throws {
        let answer = try EmbeddedClient(Self.keyed).ask("GET /.well-known/oauth-protected-resource").answer
        #expect(answer.status == 404)
        #expect(answer.all("WWW-Authenticate") == [])
    }

    @Test func wellKnownPassesWithoutRoutes() throws {
        let client = try EmbeddedClient(Self.upstream)
        let asked = try client.ask("GET /.well-known/oauth-protected-resource")
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded.first == "GET /.well-known/oauth-protected-resource HTTP/1.1")
        let refused = try client.ask("GET /anything")
        #expect(refused.answer.status == 401)
        #expect(refused.forwarded == [])
    }

    // MARK: Targets

    @Test(arguments: [
        "/api%2flistings", "/api%2Flistings", "/api%5clistings", "/api\\listings", "/api;v=1/listings", "/api/%00",
        "/api/%ff", "/api/../listings", "/api/./listings", "/api/%2e%2e/listings", "/api/%2E/listings", "/api/..",
        "/open/../api/listings", "/open%2f..%2fapi/listings", "/api/%zz", "/%c0%ae%c0%ae/api/listings",
    ])
    func anAmbiguousTargetIs400OnEveryRoute(target: String) throws {
        for fields in [[], ["X-API-Key: \(Self.key)"]] {
            let client = try EmbeddedClient(Self.keyed)
            let answer = try client.ask("GET \(target)", fields).answer
            #expect(answer.status == 400)
            #expect(answer.body.contains(#""title":"Bad Request""#))
            #expect(client.handlers.isEmpty)
        }
        let anybody = try EmbeddedClient(Self.anonymous)
        #expect(try anybody.ask("GET \(target)").answer.status == 400)
        #expect(anybody.handlers.isEmpty)
    }

    @Test(arguments: [
        ("//api/listings", 404), ("/api//listings", 404), ("/api/listings/", 404), ("/API/listings", 404),
        ("/%61pi/listings/", 404), ("/api/%6cistings//", 404), ("/api/listing", 404),
        ("/api/%252e%252e/listings", 400),
    ])
    func noOtherSpellingIsForwardedUnasked(target: String, status: Int) throws {
        let client = try EmbeddedClient(Self.keyed)
        #expect(try client.ask("GET \(target)").answer.status == status)
        #expect(client.handlers.isEmpty)
    }

    // MARK: Credentials

    @Test(arguments: ["X-API-Key:", "Authorization: Bearer ", "Authorization: Basic dTpw"])
    func whatIsNoCredentialOfOursIsAbsent(field: String) throws {
        let client = try EmbeddedClient(Self.keyed)
        try client.ask("GET /api/listings", [field]).answer.expectProblem(
            401, "Unauthorized", "Missing API key. Provide X-API-Key header.")
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: ["Bearer", "bearer", "BEARER"])
    func authorizationCarriesAKeyAsWell(scheme: String) throws {
        let triaged = try Triaged("GET /api/listings", ["Authorization: \(scheme) \(Self.key)"], by: Self.keyed)
        #expect(triaged.description == "protected \(Self.key)")
    }

    @Test(arguments: [
        ["X-API-Key: \(key)", "Authorization: Bearer \(other)"], ["X-API-Key: \(key)", "X-API-Key: \(key)"],
    ])
    func twoCredentialsAre400(fields: [String]) throws {
        let client = try EmbeddedClient(Self.keyed)
        #expect(try client.ask("GET /api/listings", fields).answer.status == 400)
        #expect(client.handlers.isEmpty)
    }

    // MARK: Correlation

    @Test(arguments: ["a", "order-66.retry_2", String(repeating: "x", count: 128)])
    func aWellFormedIDIsEchoedAndForwarded(id: String) throws {
        let client = try EmbeddedClient(Self.anonymous)
        let asked = try client.ask("GET /api/listings", ["X-Correlation-ID: \(id)"])
        #expect(asked.answer.status == 200)
        #expect(asked.answer["X-Correlation-ID"] == id)
        #expect(asked.forwarded("X-Correlation-ID") == [id])
        let refused = try client.ask("GET /nowhere", ["X-Correlation-ID: \(id)"]).answer
        #expect(refused["X-Correlation-ID"] == id)
        #expect(refused.body.contains(#""correlation_id":"\#(id)""#))
    }

    @Test(arguments: ["", "two words", String(repeating: "x", count: 129), "a/b", "<script>", "\u{fc}mlaut"])
    func anyOtherIDIsReplaced(id: String) throws {
        let client = try EmbeddedClient(Self.anonymous)
        // One octet a character, as fields have them.
        let request = "GET /api/listings HTTP/1.1\r\nHost: h\r\nX-Correlation-ID: \(id)\r\n\r\n"
        try client.send(octets: request.unicodeScalars.map { try #require(UInt8(exactly: $0.value)) })
        let forwarded = try client.handler.taken()
        try client.handler.send(EmbeddedClient.ok)
        let made = try #require(try client.answers().first?["X-Correlation-ID"])
        #expect(try #/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/#.wholeMatch(in: made) != nil)
        #expect(forwarded.contains("\r\nX-Correlation-ID: \(made)\r\n"))
        #expect(forwarded.components(separatedBy: "Correlation").count == 2)
    }

    @Test func eachRequestGetsAnIDOfItsOwn() throws {
        let client = try EmbeddedClient(Self.anonymous)
        var ids: Set<String> = []
        for _ in 0..<10 {
            let asked = try client.ask(
                "GET /api/listings",
                answer: "HTTP/1.1 200 OK\r\nX-Correlation-ID: of-the-handler\r\nContent-Length: 0\r\n\r\n")
            ids.insert(try #require(asked.answer["X-Correlation-ID"]))
        }
        #expect(ids.count == 10 && !ids.contains("of-the-handler"))
    }

    // MARK: MCP

    private static let list = #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#

    @Test func withoutAKeyAMessageIs401() throws {
        let answer = try EmbeddedClient(Self.keyed).ask("POST /mcp", body: Self.list).answer
        answer.expectMessage(401, "Unauthorized", "Missing API key. Provide X-API-Key header.")
        #expect(answer["WWW-Authenticate"] == "Bearer realm=\"tollgate\"")
    }

    @Test func a405NamesTheMethodsOfTheProtocol() throws {
        let answer = try EmbeddedClient(Self.keyed).ask("PUT /mcp", ["X-API-Key: \(Self.key)"], body: "{}").answer
        answer.expectMessage(
            405, "Method Not Allowed", "Method Not Allowed", then: #","path":"/mcp","method":"PUT""#)
        #expect(answer["Allow"] == "DELETE, GET, HEAD, POST")
    }

    @Test(arguments: ["/mcp", "/mcp/", "/mcp/messages/?session_id=1"])
    func thePathAndAllBelowItAreTheRoute(target: String) throws {
        let asked = try EmbeddedClient(Self.anonymous).ask("POST \(target)", body: "{}")
        #expect(asked.answer.status == 200)
        #expect(asked.forwarded.first == "POST \(target) HTTP/1.1")
        #expect(try EmbeddedClient(Self.keyed).ask("POST \(target)", body: "{}").answer.status == 401)
    }
}
