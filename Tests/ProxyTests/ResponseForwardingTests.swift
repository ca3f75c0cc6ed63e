// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import NIOCore
import Settings
import Testing

@testable import Proxy

/// Heads as clients get them, line by line.
@Suite struct ResponseForwardingTests {
    private static let report = LimitReport(
        nowMicroseconds: 1_000_000_000_000,
        statuses: [
            LimitStatus(
                policy: 0, capacity: 20, remaining: 3, resetAfterMicroseconds: 8_500_000, retryAfterMicroseconds: 0,
                isDenied: false, allowance: .rate(Limit(count: 20, periodMicroseconds: 10_000_000)),
                nextTokenAfterMicroseconds: 0)
        ], speaking: 0)
    private static let policies = "policies: [{name: org, per: org, limit: 20/10s}]"

    @Test func aHeadIsTheHandlersOwnAndOurs() throws {
        var forwarded = ForwardedAnswer(settings: Self.policies)
        forwarded.edits.limits = Self.report
        forwarded.edits.variesByCredential = true
        forwarded.edits.connection = .close
        #expect(
            try forwarded.lines(of: ["server:  X", "X-RateLimit-Limit: 5", "X-Correlation-ID: theirs"]) == [
                "HTTP/1.1 200 OK", "server:  X", "Content-Length: 0", "X-Correlation-ID: ", "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 3", "X-RateLimit-Reset: 1000009", "RateLimit-Policy: \"org\";q=20;w=10",
                "RateLimit: \"org\";r=3;t=2", "Vary: X-API-Key, Authorization", "Cache-Control: private",
                "Connection: close",
            ])
    }

    @Test(arguments: [
        "Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Upgrade: h2c",
    ])
    func endsHere(field: String) throws {
        let name = String(field.prefix { $0 != ":" })
        #expect(try ForwardedAnswer().values(of: name, of: [field]) == [])
    }

    @Test func fieldsThatConnectionNamesEnd() throws {
        let answer = ["Connection: X-One", "X-One: 1", "X-Two: 2"]
        #expect(try ForwardedAnswer().values(of: "X-One", of: answer) == [])
        #expect(try ForwardedAnswer().values(of: "X-Two", of: answer) == ["2"])
    }

    @Test func whatTheHandlerSaysOfLimitsPassesWithoutOurs() throws {
        let answer = ["X-RateLimit-Limit: 5", "RateLimit: \"theirs\";r=1"]
        #expect(try ForwardedAnswer().values(of: "X-RateLimit-Limit", of: answer) == ["5"])
        #expect(try ForwardedAnswer().values(of: "RateLimit", of: answer) == ["\"theirs\";r=1"])
    }

    @Test func itsCachingStands() throws {
        var forwarded = ForwardedAnswer()
        forwarded.edits.variesByCredential = true
        #expect(try forwarded.values(of: "Cache-Control", of: ["Cache-Control: max-age=5"]) == ["max-age=5"])
        #expect(try forwarded.values(of: "Cache-Control", of: []) == ["private"])
    }

    @Test(arguments: [(ConnectionField.keepAlive, ["keep-alive"]), (.close, ["close"]), (.webSocket, ["Upgrade"])])
    func theConnectionIsToldOf(field: ConnectionField, values: [String]) throws {
        var forwarded = ForwardedAnswer()
        forwarded.edits.connection = field
        #expect(try forwarded.values(of: "Connection", of: []) == values)
    }

    @Test(arguments: [
        (true, HTTPVersion.http11, true), (true, .http10, true), (false, .http10, true), (false, .http11, false),
    ])
    func theConnectionIsToldOfWhereItIsNoDefault(closing: Bool, version: HTTPVersion, isTold: Bool) {
        #expect((ConnectionField(closing: closing, version: version) != nil) == isTold)
    }

    @Test func costsStayHere() throws {
        let forwarded = ForwardedAnswer(
            settings: "policies: [{name: org, per: org, limit: 20/10s, cost_header: X-Cost}]")
        #expect(try forwarded.values(of: "x-cost", of: ["X-Cost: 5"]) == [])
        #expect(try ForwardedAnswer().values(of: "x-cost", of: ["X-Cost: 5"]) == ["5"])
    }

    @Test(
        arguments: [
            ([], ReportedCost.none), (["X-Cost: 5"], .tokens(5)), (["x-cost: 0"], .tokens(0)),
            (["X-Cost: 999999999999999"], .tokens(999_999_999_999_999)), (["X-Cost: 1000000000000000"], .unreadable),
            (["X-Cost: -1"], .unreadable), (["X-Cost: 1.5"], .unreadable), (["X-Cost:"], .unreadable),
            (["X-Cost: 1", "X-Cost: 1"], .unreadable),
        ] as [([String], ReportedCost)])
    func readsTheCostTheHandlerSays(fields: [String], cost: ReportedCost) throws {
        let snapshot = try Snapshot(Settings.parse("{}", named: "test.yaml"))
        #expect(snapshot.reportedCost(in: try MessageIntakeTests.response(fields), "x-cost") == cost)
    }

    // MARK: Pages

    @Test func ourFieldsReplaceTheHandlersAndItsListIsAddedTo() throws {
        let forwarded = ForwardedAnswer(settings: "cors: {allow_origins: ['*']}")
        let answer = [
            "Access-Control-Allow-Origin: https://theirs.example", "Access-Control-Allow-Credentials: true",
            "Access-Control-Expose-Headers: X-Theirs", "Access-Control-Max-Age: 5",
        ]
        #expect(try forwarded.values(of: "Access-Control-Allow-Origin", of: answer) == ["*"])
        #expect(try forwarded.values(of: "Access-Control-Allow-Credentials", of: answer) == [])
        #expect(try forwarded.values(of: "Access-Control-Max-Age", of: answer) == [])
        #expect(try forwarded.values(of: "Access-Control-Expose-Headers", of: answer).first == "X-Theirs")
        #expect(try forwarded.values(of: "Access-Control-Expose-Headers", of: answer).count == 2)
        #expect(try forwarded.values(of: "Vary", of: answer) == [])
    }

    private static let asks = [
        "OPTIONS /x HTTP/1.1", "Host: shop.example", "Origin: https://App.example",
        "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-api-key, x-b",
        "Access-Control-Request-Headers:",
    ]

    @Test(
        arguments: [
            (
                "{allow_origins: ['https://app.example'], allow_credentials: true, max_age: 300}",
                [
                    "Access-Control-Allow-Origin: https://App.example", "Access-Control-Allow-Credentials: true",
                    "Access-Control-Allow-Methods: GET", "Access-Control-Allow-Headers: x-api-key, x-b",
                    "Access-Control-Max-Age: 300",
                ]
            ),
            (
                "{allow_origins: ['*'], max_age: 1}",
                [
                    "Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: GET",
                    "Access-Control-Allow-Headers: x-api-key, x-b", "Access-Control-Max-Age: 1",
                ]
            ), ("{allow_origins: ['https://other.example']}", []),
        ] as [(String, [String])])
    func preflightsAreAnsweredWithWhatIsAllowed(settings: String, expected: [String]) throws {
        let snapshot = try Snapshot(Settings.parse("cors: \(settings)", named: "test.yaml"))
        let crossOrigin = try #require(snapshot.pages.crossOrigin)
        let head = try RoutingHeads.head(Self.asks)
        let origin = crossOrigin.allowedOrigin(of: head).map(head.view) ?? ByteBuffer().readableBytesView
        var buffer = ByteBuffer()
        buffer.writeWithOutputRawSpan(minimumWritableBytes: 1024) {
            crossOrigin.writePreflightFields(for: origin, methods: Array("GET".utf8), head: head, to: &$0)
        }
        #expect(
            String(buffer: buffer).split(separator: "\r\n").map(String.init) == expected + [
                "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
            ])
    }

    @Test func anOriginGivenTwiceIsNone() throws {
        let crossOrigin = try #require(
            try Snapshot(Settings.parse("cors: {allow_origins: ['https://app.example']}", named: "test.yaml"))
                .pages.crossOrigin)
        let head = try RoutingHeads.head(Self.asks + ["Origin: https://app.example"])
        #expect(crossOrigin.allowedOrigin(of: head) == nil)
    }

    // MARK: Metadata

    @Test(arguments: [
        (
            "https://shop.example/mcp", ["https://id.example"], [],
            "https://shop.example/.well-known/oauth-protected-resource/mcp",
            #"{"resource":"https://shop.example/mcp","authorization_servers":["https://id.example"],"bearer_methods_supported":["header"]}"#
        ),
        (
            "https://shop.example/", ["a", "b"], ["x", "y"],
            "https://shop.example/.well-known/oauth-protected-resource",
            #"{"resource":"https://shop.example/","authorization_servers":["a","b"],"scopes_supported":["x","y"],"bearer_methods_supported":["header"]}"#
        ),
    ])
    func metadataSaysWhoIssuesTokens(
        resource: String, servers: [String], scopes: [String], location: String, document: String
    ) {
        let metadata = ResourceMetadata(resource: resource, authorizationServers: servers, scopes: scopes)
        #expect(metadata.location == Array(location.utf8))
        #expect(String(buffer: metadata.document) == document)
        #expect(metadata.isServed(at: Array("/.well-known/oauth-protected-resource".utf8)))
        #expect(!metadata.isServed(at: Array("/.well-known/oauth-protected-resource/".utf8)))
    }
}
