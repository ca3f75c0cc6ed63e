// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import MCP
import NIOCore
import Settings
import Testing

@testable import Proxy

/// Refusals as clients get them, octet for octet.
@Suite struct RefusalWriterTests {
    /// One refusal, and who gets it.
    struct Answer {
        var settings = "policies: [{name: org, per: org, limit: 20/10s}]"
        var delivery: Delivery?
        var era = Era.legacy
        var isHead = false
        var origin = ""
        var limits: LimitReport?
        var variesByCredential = false
        var connection: ConnectionField?

        func text(_ refusal: Refusal) throws -> (head: String, body: String) {
            let snapshot = try Snapshot(Settings.parse(settings, named: "test.yaml"))
            var body = ByteBuffer(string: "of the answer before")
            var buffer = ByteBuffer()
            RefusalWriter(
                snapshot: snapshot, delivery: delivery, era: era, isHead: isHead,
                origin: ByteBuffer(string: origin).readableBytesView
            )
            .write(
                refusal, limits: limits, correlationID: ByteBuffer(string: "c1").readableBytesView,
                variesByCredential: variesByCredential, connection: connection,
                date: ByteBuffer(string: "D").readableBytesView, body: &body, into: &buffer)
            let text = String(buffer: buffer) + String(buffer: body)
            guard let end = text.firstRange(of: "\r\n\r\n") else { return (text, "") }
            return (String(text[..<end.upperBound]), String(text[end.upperBound...]))
        }

        /// The fields behind the first five, which each refusal has.
        func fields(_ refusal: Refusal) throws -> [String] {
            Array(try text(refusal).head.split(separator: "\r\n").dropFirst(6).map(String.init))
        }
    }

    private static let report = LimitReport(
        nowMicroseconds: 1_000_000_000_000,
        statuses: [
            LimitStatus(
                policy: 0, capacity: 20, remaining: 3, resetAfterMicroseconds: 8_500_000,
                retryAfterMicroseconds: 2_500_000, isDenied: true,
                allowance: .rate(Limit(count: 20, periodMicroseconds: 10_000_000)),
                nextTokenAfterMicroseconds: 2_500_000)
        ], speaking: 0)

    @Test func aRefusalIsAProblemDocument() throws {
        let (head, body) = try Answer().text(.unknownRoute(path: Array("/a\"b".utf8), method: Array("GET".utf8)))
        #expect(
            body == """
                {"type":"about:blank","title":"Not Found","status":404,"detail":"Route '/a\\"b' not found",\
                "correlation_id":"c1","path":"/a\\"b","method":"GET"}
                """)
        #expect(
            head == """
                HTTP/1.1 404 Not Found\r
                Date: D\r
                Content-Type: application/problem+json\r
                Content-Length: \(body.utf8.count)\r
                Cache-Control: no-store\r
                X-Correlation-ID: c1\r
                \r

                """)
    }

    @Test func toHeadThereIsNoBody() throws {
        var answer = Answer()
        let full = try answer.text(.malformed(400, "x"))
        answer.isHead = true
        let (head, body) = try answer.text(.malformed(400, "x"))
        #expect(head == full.head)
        #expect(body.isEmpty)
    }

    @Test func aDenialByRateSaysWhen() throws {
        var answer = Answer()
        answer.limits = Self.report
        answer.variesByCredential = true
        answer.connection = .close
        let refusal = Refusal.denied(
            Denial(reason: .rateLimited(policies: [0]), limits: Self.report),
            policies: [Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 10_000_000))],
            scopes: [])
        #expect(
            try answer.text(refusal).body == """
                {"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",\
                "status":429,"detail":"Rate limit exceeded","correlation_id":"c1","violated-policies":["org"],\
                "retryAfter":3,"retryAfterMs":2500,"rateLimitRemaining":3}
                """)
        #expect(
            try answer.fields(refusal) == [
                "Retry-After: 3", "X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 3", "X-RateLimit-Reset: 1000009",
                "RateLimit-Policy: \"org\";q=20;w=10", "RateLimit: \"org\";r=0;t=3", "Vary: X-API-Key, Authorization",
                "Connection: close",
            ])
    }

    // MARK: Words

    private static let policies = [
        Policy(name: "big", per: .org, limit: Limit(count: 1, periodMicroseconds: 1), reject: .http)
    ]

    @Test(
        arguments: [
            (.missing, "401 missing", "Missing API key. Provide X-API-Key header."),
            (.malformed, "401 malformed", "Invalid or inactive API key"),
            (.unknown, "401 unknown", "Invalid or inactive API key"),
            (.revoked, "401 revoked", "Invalid or inactive API key"),
            (.expired, "401 expired", "Invalid or inactive API key"),
            (.notYetValid, "401 not_yet_valid", "Invalid or inactive API key"),
            (.suspended, "401 suspended", "Invalid or inactive API key"),
            (
                .costExceedsCapacity(policy: 0, cost: 5, capacity: 3), "403 cost_exceeds_capacity",
                "Cost 5 exceeds the capacity 3 of policy big"
            ),
            (.addressNotAllowed, "403 address_not_allowed", "Address not allowed"),
            (.insufficientScope(["a", "b"]), "403 insufficient_scope", "Insufficient scope"),
            (.toolNotAllowed(Array("drop".utf8)), "403 tool_not_allowed", "Tool 'drop' not allowed"),
            (.toolNotAllowed(nil), "403 tool_not_allowed", "Tool not allowed"),
            (.foreignSession, "404 foreign_session", "Session not found"),
            (.rateLimited(policies: [0]), "429 rate_limited", "Rate limit exceeded"),
            (.limiterUnavailable(detail: "secret"), "503 limiter_unavailable", "Rate limiter unavailable"),
            (.limiterSlow, "503 limiter_slow", "Rate limiter unavailable"),
            (.lookupBudget, "503 lookup_budget", "Too many unknown API keys"),
        ] as [(Denial.Reason, String, String)])
    func eachDenialHasItsWords(reason: Denial.Reason, status: String, detail: String) throws {
        let refusal = Refusal.denied(Denial(reason: reason), policies: Self.policies, scopes: ["a"])
        #expect(refusal.text == status)
        #expect(refusal.detail == detail)
        #expect(refusal.scopes == ["a"])
        #expect(refusal.retryAfterSeconds == (refusal.status == 503 ? 1 : nil))
    }

    @Test(
        arguments: [
            (.upstreamUnreachable, "502 upstream_unreachable"), (.upstreamClosed, "502 upstream_closed"),
            (.upstreamDoubtful(.untrusted), "502 upstream_untrusted"),
            (.upstreamDoubtful(.expired), "502 upstream_expired"),
            (.upstreamDoubtful(.otherName), "502 upstream_other_name"),
            (.upstreamDoubtful(.wantsCertificate), "502 upstream_wants_certificate"),
            (.upstreamDoubtful(.noTLS), "502 upstream_tls"),
            (.upstreamInvalid, "502 upstream_invalid"), (.upstreamConnectTimeout, "504 upstream_connect_timeout"),
            (.upstreamTimeout, "504 upstream_timeout"), (.upstreamQueueFull, "503 upstream_queue_full"),
            (.upstreamShare, "503 upstream_share"), (.exhausted, "503 exhausted"),
            (.bodyMalformed, "400 malformed_request closing"), (.bodyTooLarge, "413 body_too_large closing"),
            (.bodyTimeout, "408 request_timeout closing"), (.keyEnded, "401 key_ended"), (.slotLost, "503 slot_lost"),
        ] as [(Exchange.Fault, String)])
    func eachFaultHasItsWords(fault: Exchange.Fault, expected: String) {
        #expect(Refusal.standIn(for: fault, bodyLimit: 5).text == expected)
    }

    @Test func whatIsLongIsCut() throws {
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 300)
        #expect(Refusal.unknownRoute(path: long, method: []).detail.utf8.count == "Route '' not found".utf8.count + 256)
        let tool = Refusal.denied(Denial(reason: .toolNotAllowed(long)), policies: [], scopes: [])
        #expect(tool.detail.utf8.count == "Tool '' not allowed".utf8.count + 128)
    }

    // MARK: Challenges

    private static let metadata = """
        mcp:
          resource_metadata: {resource: "https://shop.example/mcp", authorization_servers: ["https://id.example"]}
        """

    @Test(
        arguments: [
            (.missing, [], "{}", "Bearer realm=\"tollgate\""),
            (.unknown, [], "{}", "Bearer realm=\"tollgate\", error=\"invalid_token\""),
            (.missing, ["a", "b"], "{}", "Bearer realm=\"tollgate\", scope=\"a b\""),
            (
                .insufficientScope(["b"]), ["a", "b"], "{}",
                "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"a b\""
            ),
            (
                .missing, [], metadata,
                "Bearer realm=\"tollgate\", resource_metadata=\"https://shop.example/.well-known/oauth-protected-resource/mcp\""
            ),
        ] as [(Denial.Reason, [String], String, String)])
    func challengesSayWhatIsMissing(
        reason: Denial.Reason, scopes: [String], settings: String, challenge: String
    ) throws {
        let refusal = Refusal.denied(Denial(reason: reason), policies: [], scopes: scopes)
        #expect(try Answer(settings: settings).fields(refusal) == ["WWW-Authenticate: \(challenge)"])
    }

    @Test func allMissingScopesAreNamed() throws {
        let refusal = Refusal.denied(Denial(reason: .insufficientScope(["a", "b"])), policies: [], scopes: ["a", "b"])
        #expect(try Answer().text(refusal).body.hasSuffix(#","missing_scopes":["a","b"]}"#))
    }

    @Test func aForeignTokenIsSaidToBeNone() throws {
        let refusal = Refusal.denied(Denial(reason: .missing), policies: [], scopes: [])
        refusal.tellOfForeignToken()
        #expect(refusal.text == "401 foreign_token")
        #expect(try Answer().fields(refusal) == ["WWW-Authenticate: Bearer realm=\"tollgate\""])
    }

    @Test func allowNamesTheMethods() throws {
        let refusal = Refusal.methodNotAllowed(path: [], method: [], allow: Array("GET, HEAD".utf8))
        #expect(try Answer().fields(refusal) == ["Allow: GET, HEAD"])
    }

    // MARK: Pages

    @Test(arguments: [
        ("https://app.example", ["Access-Control-Allow-Origin: https://app.example"]), ("", []),
    ])
    func pagesMayReadRefusals(origin: String, first: [String]) throws {
        var answer = Answer(settings: "cors: {allow_origins: ['https://app.example']}")
        answer.origin = origin
        let fields = try answer.fields(.malformed(400, "x"))
        #expect(Array(fields.prefix(first.count)) == first)
        #expect(fields.contains { $0.hasPrefix("Access-Control-Expose-Headers: ") } == !first.isEmpty)
        #expect(fields.last == "Vary: Origin")
    }

    // MARK: Within JSON-RPC

    private static let id = Array("7".utf8)

    @Test func onAnMCPRouteTheDocumentIsTheErrorsData() throws {
        var answer = Answer()
        answer.delivery = .status(id: Self.id)
        let (head, body) = try answer.text(.unreadableMessage("x"))
        #expect(head.hasPrefix("HTTP/1.1 400 Bad Request\r\nDate: D\r\nContent-Type: application/json\r\n"))
        #expect(
            body == """
                {"jsonrpc":"2.0","id":7,"error":{"code":-32700,"message":"Malformed MCP message: x","data":\
                {"type":"about:blank","title":"Bad Request","status":400,"detail":"Malformed MCP message: x",\
                "correlation_id":"c1"}}}
                """)
    }

    @Test(
        arguments: [
            (.status(id: nil), "HTTP/1.1 401 Unauthorized", #"{"jsonrpc":"2.0","id":null,"error":{"code":40100,"#),
            (
                .answer(Delivery.Reply(id: id, isToolResult: false)), "HTTP/1.1 200 OK",
                #"{"jsonrpc":"2.0","id":7,"error":{"code":40100,"#
            ),
            (
                .answers([Delivery.Reply(id: id, isToolResult: false), Delivery.Reply(id: [0x38], isToolResult: true)]),
                "HTTP/1.1 200 OK", #"[{"jsonrpc":"2.0","id":7,"error":{"code":40100,"#
            ),
        ] as [(Delivery, String, String)])
    func isDelivered(delivery: Delivery, status: String, beginning: String) throws {
        var answer = Answer()
        answer.delivery = delivery
        let (head, body) = try answer.text(.denied(Denial(reason: .unknown), policies: [], scopes: []))
        #expect(head.hasPrefix(status + "\r\n"))
        #expect(body.hasPrefix(beginning))
    }

    @Test(arguments: [(.legacy, ""), (.modern, "\"resultType\":\"complete\",")] as [(Era, String)])
    func aToolResultSaysHowLongToWait(era: Era, kind: String) throws {
        var answer = Answer()
        answer.delivery = .answer(Delivery.Reply(id: Self.id, isToolResult: true))
        answer.era = era
        #expect(
            try answer.text(.unavailable("Overloaded", reason: .exhausted)).body == """
                {"jsonrpc":"2.0","id":7,"result":{\(kind)"content":[{"type":"text","text":\
                "Overloaded: retry in 1 s"}],"isError":true}}
                """)
    }

    @Test func aMessageNamesWhatIsMissing() throws {
        var answer = Answer()
        answer.delivery = .answer(Delivery.Reply(id: Self.id, isToolResult: true))
        let refusal = Refusal.denied(Denial(reason: .insufficientScope(["a", "b"])), policies: [], scopes: [])
        #expect(try answer.text(refusal).body.contains(#""text":"Insufficient scope: a b""#))
    }
}
