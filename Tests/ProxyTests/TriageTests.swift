// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Settings
import Testing

@testable import Proxy

/// From a head to what becomes of it: each row a request, as a client writes it.
@Suite struct TriageTests {
    private static let shop = """
        trusted_proxies: [10.0.0.0/8]
        limits: {body_bytes: 1MiB}
        routes:
          - {path: /health, methods: [GET], public: true, throttle: false}
          - {path: /api/listings, methods: [GET], scopes: ["listings:read"]}
          - {path: /api/listings, methods: [POST], scopes: ["listings:read", "listings:write"]}
          - {path: "/api/{id}", methods: [DELETE]}
          - {path: "/files/{rest*}"}
        """

    // MARK: Target and route

    @Test(
        arguments: [
            // Before any credential is looked at.
            ("GET /nothing", [], "404 unknown_route, refusal 192.0.2.1"),
            ("GET /nothing", ["X-API-Key: mcp_a"], "404 unknown_route, refusal 192.0.2.1"),
            ("PUT /api/listings", ["X-API-Key: mcp_a"], "405 method_not_allowed, refusal 192.0.2.1"),
            ("get /api/listings", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("TRACE /health", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("GET /api/%2e%2e/health", [], "400 malformed_request closing, refusal 192.0.2.1"),
            ("GET /health%2Fx", [], "400 malformed_request closing, refusal 192.0.2.1"),
            ("GET /health;x", ["X-API-Key: mcp_a"], "400 malformed_request closing, refusal 192.0.2.1"),
            ("OPTIONS *", [], "404 unknown_route, refusal 192.0.2.1"),
            ("GET /.well-known/x", [], "404 unknown_route, refusal 192.0.2.1"),
            ("GET /.well-known/x", ["X-API-Key: mcp_a"], "404 unknown_route, refusal 192.0.2.1"),
            // A route that asks for no key looks at none.
            ("GET /health", [], "publicRoute 192.0.2.1"), ("HEAD /health?x=1", [], "publicRoute 192.0.2.1"),
            ("GET /%68ealth", ["X-API-Key: mcp_a"], "publicRoute 192.0.2.1"),
            ("GET /health", ["X-API-Key: a", "X-API-Key: b"], "publicRoute 192.0.2.1"),
            ("GET /api/listings", [], "protected 192.0.2.1"),
            ("GET /api/listings", ["X-API-Key: mcp_a"], "protected mcp_a"),
            ("DELETE /api/5", ["Authorization: bearer mcp_a"], "protected mcp_a"),
        ] as [(String, [String], String)])
    func findsTheRouteBeforeTheCredential(request: String, fields: [String], expected: String) throws {
        #expect(try Triaged(request, fields, by: Self.shop).description == expected)
    }

    @Test(
        arguments: [
            // Our own want of knowledge costs nobody a token.
            ("GET /nothing", "503 routes_unknown"), ("GET /.well-known/x", "503 routes_unknown"),
            ("GET /a", "protected 192.0.2.1"), ("GET /b", "publicRoute 192.0.2.1"),
            ("POST /a", "405 method_not_allowed, refusal 192.0.2.1"), ("POST /mcp/x", "protected 192.0.2.1"),
            ("GET /b%2Fx", "400 malformed_request closing, refusal 192.0.2.1"),
        ])
    func whatADocumentMayTellIsUnknownUntilItIsRead(request: String, expected: String) throws {
        let settings = """
            routes:
              - {openapi: /openapi.json}
              - {path: /a, methods: [GET]}
              - {path: /b, public: true}
              - {path: /mcp, mcp: true}
            """
        let fields = request.hasPrefix("POST /mcp") ? ["Content-Length: 2", "Content-Type: application/json"] : []
        #expect(try Triaged(request, fields, by: settings).description == expected)
    }

    @Test func connectIsRefusedAndItsConnectionEnds() throws {
        let connect = try Triaged(["CONNECT shop.example:443 HTTP/1.1", "Host: shop.example:443"], by: Self.shop)
        #expect(connect.description == "405 method_not_allowed closing, refusal 192.0.2.1")
        #expect(connect.refusal?.allow == [])
    }

    @Test(
        arguments: [
            ("GET /x", [], "protected 192.0.2.1"), ("BREW /x", ["X-API-Key: mcp_a"], "protected mcp_a"),
            ("OPTIONS *", [], "protected 192.0.2.1"),
            ("GET /a%2Fb", ["X-API-Key: mcp_a"], "protected mcp_a"),
            // Whoever looks for a document there has no key.
            ("GET /.well-known/x", [], "publicRoute 192.0.2.1"), ("HEAD /.well-known", [], "publicRoute 192.0.2.1"),
            ("OPTIONS /.well-known/x", [], "publicRoute 192.0.2.1"),
            ("POST /.well-known/x", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("PROPFIND /.well-known/x", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("get /.well-known/x", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("POST /.well-known/x", ["X-API-Key: mcp_a"], "protected mcp_a"),
            ("GET /.well-known/..%2Fx", [], "400 malformed_request closing, refusal 192.0.2.1"),
        ] as [(String, [String], String)])
    func withoutRoutesEverythingButWellKnownIsProtected(request: String, fields: [String], expected: String) throws {
        #expect(try Triaged(request, fields).description == expected)
    }

    @Test(arguments: [
        ("PUT /api/listings", "DELETE, GET, HEAD, POST"), ("GET /api/5", "DELETE"), ("POST /health", "GET, HEAD"),
    ])
    func namesWhatThePathTakes(request: String, allow: String) throws {
        #expect(try Triaged(request, by: Self.shop).refusal?.allow == Array(allow.utf8))
    }

    @Test func repeatsPathAndMethodOfWhatIsNotThere() throws {
        let long = "/" + String(repeating: "a", count: 300)
        for (target, path) in [("/nothing?x", "/nothing"), (long, String(long.prefix(256)))] {
            let refusal = try #require(try Triaged("BREW \(target)", by: Self.shop).refusal)
            guard case .route(let said, let method) = refusal.members else { return #expect(Bool(false)) }
            #expect(said == Array(path.utf8))
            #expect(method == Array("BREW".utf8))
        }
    }

    /// The line of the access log has the path as sent, and a route only where one takes the request.
    @Test(
        arguments: [
            ("GET /api/listings?x=1", "/api/listings", "/api/listings"), ("DELETE /api/5", "/api/5", "/api/{id}"),
            ("PUT /api/listings", "/api/listings", nil), ("GET /nothing", "/nothing", nil),
            ("GET /a;b?x=1", "/a;b", nil),
            ("GET /files/%61", "/files/%61", "/files/{rest*}"),
        ] as [(String, String?, String?)])
    func tellsPathAndRouteForLogs(request: String, path: String?, pattern: String?) throws {
        let triaged = try Triaged(request, by: Self.shop)
        #expect(triaged.triage.path.map(triaged.head.string) == path)
        #expect((triaged.triage.isRouted ? triaged.triage.route.pattern : nil) == pattern)
    }

    /// A careless handler reads `/API/listings` as the listed path, so its scopes are asked for too.
    @Test func anotherSpellingAsksForWhatBothRoutesDo() throws {
        let rows = """
            routes:
              - {path: /api/listings, scopes: [read]}
              - {path: "/{rest*}", public: true}
            """
        let loose = try Triaged("GET /API/listings", by: rows)
        #expect(loose.description == "protected 192.0.2.1")
        #expect(loose.request?.scopes == ["read"])
        #expect(loose.triage.route.pattern == "/{rest*}")
        #expect(try Triaged("GET /other", by: rows).description == "publicRoute 192.0.2.1")
    }

    // MARK: Preflights and metadata

    private static let asks = ["Origin: https://app.example", "Access-Control-Request-Method: GET"]
    private static let cors = shop + "\ncors: {allow_origins: ['https://app.example']}"
    private static let refusing = shop + "\npreflights: refuse"

    @Test(
        arguments: [
            (cors, "OPTIONS /api/listings", asks, "preflight: DELETE, GET, HEAD, POST"),
            (cors, "OPTIONS /health", asks, "preflight: GET, HEAD"),
            (cors, "OPTIONS /health", asks + ["Content-Length: 0"], "preflight: GET, HEAD"),
            (cors, "OPTIONS /files/x", asks, "preflight: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            (cors, "OPTIONS /nothing", asks, "404 unknown_route, refusal 192.0.2.1"),
            // One with a body, or that names no method or page, is a request like any other.
            (cors, "OPTIONS /files/x", asks + ["Content-Length: 1"], "protected 192.0.2.1"),
            (cors, "OPTIONS /files/x", [asks[0]], "protected 192.0.2.1"),
            (cors, "OPTIONS /files/x", [asks[1]], "protected 192.0.2.1"),
            (cors, "GET /files/x", asks, "protected 192.0.2.1"),
            (cors, "OPTIONS /health", [], "405 method_not_allowed, refusal 192.0.2.1"),
            (
                "cors: {allow_origins: ['*']}", "OPTIONS *", asks,
                "preflight: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
            ),
            ("cors: {allow_origins: ['*']}", "OPTIONS /.well-known/x", asks, "preflight: GET, HEAD, OPTIONS"),
            // Without `cors` they are the handler's, and nobody is asked a key for them.
            (shop, "OPTIONS /api/listings", asks, "publicRoute 192.0.2.1"),
            (shop, "OPTIONS /api/listings", asks + ["X-API-Key: mcp_a"], "publicRoute 192.0.2.1"),
            (shop, "OPTIONS /nothing", asks, "404 unknown_route, refusal 192.0.2.1"),
            ("{}", "OPTIONS /x", asks, "publicRoute 192.0.2.1"),
            (refusing, "OPTIONS /files/x", asks, "protected 192.0.2.1"),
            (refusing, "OPTIONS /api/listings", asks, "405 method_not_allowed, refusal 192.0.2.1"),
        ] as [(String, String, [String], String)])
    func answersOrPassesPreflights(configuration: String, request: String, fields: [String], expected: String) throws {
        let triaged = try Triaged(request, fields, by: configuration)
        #expect(triaged.description == expected)
        #expect(!triaged.triage.credentialWasPresented)
    }

    private static let metadata = """
        mcp:
          resource_metadata: {resource: "https://shop.example/mcp", authorization_servers: ["https://id.example"]}
        """
    private static let document = "/.well-known/oauth-protected-resource"

    @Test(
        arguments: [
            ("GET \(document)/mcp", [], "metadata"), ("HEAD \(document)", [], "metadata"),
            ("GET \(document)?x", ["X-API-Key: mcp_a"], "metadata"),
            ("OPTIONS \(document)", asks, "preflight: GET, HEAD"),
            ("OPTIONS \(document)", [], "publicRoute 192.0.2.1"),
            ("POST \(document)", [], "405 method_not_allowed, refusal 192.0.2.1"),
            ("GET \(document)/other", [], "publicRoute 192.0.2.1"),
            ("OPTIONS /x", asks, "publicRoute 192.0.2.1"),
        ] as [(String, [String], String)])
    func servesMetadataWhereverItIsLookedFor(request: String, fields: [String], expected: String) throws {
        #expect(try Triaged(request, fields, by: Self.metadata).description == expected)
    }

    @Test func withRoutesMetadataIsServedAndNothingElseThere() throws {
        let configuration = Self.metadata + "\n" + Self.cors
        #expect(try Triaged("GET \(Self.document)", by: configuration).description == "metadata")
        #expect(
            try Triaged("POST \(Self.document)", by: configuration).description
                == "404 unknown_route, refusal 192.0.2.1")
        #expect(
            try Triaged("OPTIONS \(Self.document)", Self.asks, by: configuration).description
                == "preflight: GET, HEAD")
    }

    // MARK: Credential

    @Test(
        arguments: [
            (["X-API-Key: mcp_a"], "protected mcp_a"), (["x-api-key: junk"], "protected junk"),
            (["X-API-Key:"], "protected 192.0.2.1"), (["Authorization: Basic x"], "protected 192.0.2.1"),
            (["Authorization: Bearer theirs"], "protected 192.0.2.1"),
            (["Authorization: BEARER  mcp_a"], "protected mcp_a"),
            (["X-API-Key: mcp_a", "Authorization: Bearer mcp_a"], "protected mcp_a"),
            // Which would be meant is the caller's to say, and costs nothing.
            (["X-API-Key: mcp_a", "Authorization: Bearer mcp_b"], "400 credential_clash"),
            (["X-API-Key: mcp_a", "X-API-Key: mcp_a"], "400 credential_clash"),
        ] as [([String], String)])
    func looksForOneCredential(fields: [String], expected: String) throws {
        let triaged = try Triaged("GET /x", fields)
        #expect(triaged.description == expected)
        #expect(
            triaged.triage.credentialWasPresented
                == (expected != "protected 192.0.2.1" && expected != "400 credential_clash"))
    }

    @Test func asksForTheScopesOfTheRoute() throws {
        #expect(try Triaged("GET /api/listings", by: Self.shop).request?.scopes == ["listings:read"])
        #expect(
            try Triaged("POST /api/listings", by: Self.shop).request?.scopes == ["listings:read", "listings:write"])
        #expect(try Triaged("GET /health", by: Self.shop).request?.scopes == [])
        #expect(try Triaged("PUT /api/listings", by: Self.shop).request?.scopes == [])
    }

    @Test func asksNoLimitWhereNoneIs() throws {
        #expect(try Triaged("GET /health", by: Self.shop).request?.isThrottled == false)
        #expect(try Triaged("GET /api/listings", by: Self.shop).request?.isThrottled == true)
        #expect(try Triaged("PUT /health", by: Self.shop).request?.isThrottled == true)
    }

    // MARK: Body

    @Test(
        arguments: [
            ("POST /files/x", ["Content-Length: 1048576"], "protected 192.0.2.1"),
            ("POST /files/x", ["Content-Length: 1048577"], "judged 192.0.2.1, then 413 body_too_large closing"),
            (
                "POST /files/x", ["Content-Length: 1048577", "X-API-Key: mcp_a"],
                "judged mcp_a, then 413 body_too_large closing"
            ),
            ("POST /files/x", ["Transfer-Encoding: chunked"], "protected 192.0.2.1"),
            ("GET /health", ["Content-Length: 1048577"], "413 body_too_large closing"),
            ("POST /nothing", ["Content-Length: 1048577"], "404 unknown_route, refusal 192.0.2.1"),
            (
                "POST /files/x", ["Content-Length: 1048577", "X-API-Key: a", "X-API-Key: b"], "400 credential_clash"
            ),
        ] as [(String, [String], String)])
    func refusesBodiesThatAreTooLarge(request: String, fields: [String], expected: String) throws {
        let triaged = try Triaged(request, fields, by: Self.shop)
        #expect(triaged.description == expected)
        #expect(triaged.triage.bodyLimit == 1 << 20)
        if triaged.refusal?.status == 413 { #expect(triaged.refusal?.detail == "Request body exceeds 1048576 bytes") }
    }

    // MARK: Client

    @Test(
        arguments: [
            ("192.0.2.1", [], "192.0.2.1", false), ("192.0.2.1", ["X-Forwarded-For: 203.0.113.9"], "192.0.2.1", false),
            ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9", false), ("10.0.0.1", [], "10.0.0.1", true),
            ("10.0.0.1", ["X-Forwarded-For: junk"], "10.0.0.1", true),
            ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64", false),
        ] as [(String, [String], String, Bool)])
    func countsTheClientThatATrustedPeerNames(
        peer: String, fields: [String], subject: String, isUnnamed: Bool
    ) throws {
        for target in ["/health", "/files/x", "/nothing"] {
            let triaged = try Triaged("GET \(target)", fields, by: Self.shop, from: peer)
            #expect(triaged.request?.address == subject)
            #expect(triaged.triage.client.subject == subject)
            #expect(triaged.triage.isUnnamed == isUnnamed)
            #expect(triaged.request?.clientAddress == triaged.triage.client.address)
        }
    }

    // MARK: Policies

    private static let policies = """
        routes:
          - {path: /a}
          - {path: /b, methods: [GET, POST]}
          - {path: /open, public: true}
        policies:
          - {name: all, per: org, limit: 10/1s}
          - {name: of-b, per: org, limit: 10/1s, cost: 3, match: {routes: [/b]}}
          - {name: writes, per: address, limit: 10/1s, match: {methods: [POST, BREW]}}
          - {name: reads, per: address, limit: 10/1s, match: {methods: [GET]}}
        """

    @Test(arguments: [
        ("GET /a", ["all 1", "reads 1"]), ("HEAD /a", ["all 1", "reads 1"]), ("BREW /a", ["all 1", "writes 1"]),
        ("SING /a", ["all 1"]), ("POST /b", ["all 1", "of-b 3", "writes 1"]), ("GET /open", ["all 1", "reads 1"]),
        // Of a method that the path doesn't take, those of its first route; of no route, those that name none.
        ("DELETE /b", ["all 1", "of-b 3"]), ("POST /nothing", ["all 1", "writes 1"]),
    ])
    func asksThePoliciesOfRouteAndMethod(request: String, policies: [String]) throws {
        #expect(try Triaged(request, by: Self.policies).policies == policies)
    }
}
