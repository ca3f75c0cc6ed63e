// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Settings
import Testing

@testable import Proxy

/// Request fields by which a caller could choose path, method or identity for the handler, past what was judged.
@Suite struct ChoosingFieldsTests {
    /// What servers and frameworks take a mount point, a path, a method or a proxy from.
    private static let choosing = [
        "SCRIPT_NAME: /.well-known", "script_name: /.well-known", "PATH_INFO: /mcp", "Daphne-Root-Path: /.well-known",
        "X-Root-Path: /.well-known", "X-Script-Name: /.well-known", "X-Original-URL: /mcp", "x-original-uri: /mcp",
        "X-Rewrite-URL: /mcp", "X-Original-Path: /mcp", "X-Original-Method: DELETE", "X-Rewrite-URI: /mcp",
        "X-Override-URL: /mcp", "X-Envoy-Original-Path: /mcp", "X-Envoy-Original-Method: DELETE",
        "X-WAWS-Unencoded-URL: /mcp", "Script-Name: /.well-known", "X-Path-Info: /mcp", "Path-Info: /mcp",
        "X-Matched-Path: /mcp", "X-Now-Route-Matches: 1=mcp", "X-Invoke-Path: /mcp", "X-Invoke-Query: %7B%7D",
        "X-Middleware-Subrequest: middleware:middleware", "X-Middleware-Rewrite: /mcp",
        "X-Middleware-Override-Headers: x-user", "X-HTTP-Host-Override: evil.example",
        "X-Sendfile-Type: X-Accel-Redirect", "X-Accel-Mapping: /=/etc/", "Proxy: http://evil.example",
        "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
        "X-Tollgate-Scopes: admin", "x-tollgate-: x", "X_Tollgate_Plan: gold", "X.Custom: 1",
        "X_Forwarded_For: 203.0.113.9", "Content_Length: 5", "X-A-Name-Of-More-Than-32-Octets-With_One: 1",
    ]
    private static let passing = [
        "X-Custom: 1", "X-Root-Paths: 1", "X-Method: 1", "Proxy-Name: 1", "X-Script: 1", "Tollgate-X: 1",
    ]

    /// What proxies say.
    private static let forwarding = [
        "X-Forwarded-Prefix: /.well-known", "x-forwarded-port: 1", "X-Forwarded-Ssl: on", "X-Real-IP: 203.0.113.9",
        "True-Client-IP: 203.0.113.9", "CF-Connecting-IP: 203.0.113.9", "CF-Connecting-IPv6: 2001:db8::9",
        "Client-IP: 203.0.113.9", "X-Client-IP: 203.0.113.9", "X-Cluster-Client-IP: 203.0.113.9",
        "Fastly-Client-IP: 203.0.113.9", "Proxy-Client-IP: 203.0.113.9", "WL-Proxy-Client-IP: 203.0.113.9",
        "X-ProxyUser-Ip: 203.0.113.9", "X-Remote-IP: 203.0.113.9", "X-Remote-Addr: 203.0.113.9",
        "X-Originating-IP: 203.0.113.9", "X-Original-Forwarded-For: 203.0.113.9", "X-Forwarded: for=203.0.113.9",
        "Forwarded-For: 203.0.113.9", "X-Url-Scheme: https", "X-Original-Host: bank.example",
    ]

    // MARK: Fields

    @Test(
        arguments: ["192.0.2.1", "10.0.0.1"],
        [nil, Principal(organization: "acme", keyID: "acme/abcdefghij")] as [Principal?])
    func noFieldChoosesForTheHandler(peer: String, principal: Principal?) throws {
        let forwarded = ForwardedRequest(
            settings: "trusted_proxies: [10.0.0.0/8]", fields: Self.choosing + Self.passing, peer: peer,
            principal: principal)
        let ours = principal == nil ? [] : ["X-Tollgate-Org: acme", "X-Tollgate-Key-Id: acme/abcdefghij"]
        #expect(try forwarded.kept() == Self.passing + ours)
    }

    @Test(arguments: choosing)
    func noneChoosesAlone(field: String) throws {
        #expect(try ForwardedRequest(fields: [field]).kept() == [])
    }

    @Test func forwardingFieldsAreForTrustedPeers() throws {
        var forwarded = ForwardedRequest(settings: "trusted_proxies: [10.0.0.0/8]", fields: Self.forwarding)
        #expect(try forwarded.kept() == [])
        forwarded.peer = "10.0.0.1"
        #expect(try forwarded.kept() == Self.forwarding)
    }

    @Test func fieldsThatAreListedPass() throws {
        let listed = ["SCRIPT_NAME: /.well-known", "X-Original-URL: /mcp"]
        let proxied = ["X-Forwarded-Prefix: /a", "Forwarded: for=203.0.113.9"]
        let forwarded = ForwardedRequest(
            settings: "upstream: {forward_fields: [SCRIPT_NAME, X-Original-URL, X-Forwarded-Prefix, Forwarded]}",
            fields: Self.choosing.filter { !$0.hasPrefix("script_name") } + proxied + ["X-Forwarded-Port: 1"])
        #expect(try forwarded.kept() == listed + proxied)
    }

    @Test(arguments: [
        "Content_Length", "Connection", "TE", "X-Tollgate-Org", "X_Tollgate_Plan", "Authorization", "x_api_key",
        "X-Forwarded-For", "Host", "X-Mine",
    ])
    func theseAreNeverListed(name: String) throws {
        let error = try #require(throws: ConfigurationError.self) {
            try Settings.parse(
                "{upstream: {forward_fields: [\(name)]}, keys: {headers: [X_Mine]}}", named: "test.yaml")
        }
        #expect(error.lines.count == 1 && error.lines[0].contains("upstream.forward_fields"))
    }

    // MARK: Trailers

    @Test func trailersChooseNothingEither() throws {
        let client = try EmbeddedClient(
            """
            routes: [{path: "/open/{rest*}", public: true, throttle: false}]
            keys: {headers: [X-API-Key, X-Mine]}
            upstream: {url: "http://127.0.0.1:1", forward_fields: [A_B]}
            """)
        let key = "mcp_" + String(repeating: "k", count: 43)
        // One that frames is 400.
        let trailers =
            Self.choosing.filter { !$0.hasPrefix("Content_Length") }
            + ["X-Forwarded-Prefix: /a", "X-Mine: \(key)", "A_B: 1", "X-End: kept"]
        try client.send(
            "POST /open/a HTTP/1.1\r\nHost: t\r\nX-API-Key: \(key)\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2\r\nok\r\n0\r\n\(trailers.joined(separator: "\r\n"))\r\n\r\n")
        let request = try client.forwarded()
        #expect(request.hasSuffix("\r\n\r\n2\r\nok\r\n0\r\nX-End: kept\r\n\r\n"))
        #expect(!request.contains(key))
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.answers().map(\.status) == [200])
    }

    // MARK: Without routes

    private static let plain = """
        upstream: {url: "http://127.0.0.1:1"}
        redis: {on_failure: open}
        """

    @Test(arguments: ["POST", "DELETE", "PUT", "PATCH", "PROPFIND", "get"])
    func wellKnownIsThereToBeLookedAt(method: String) throws {
        let client = try EmbeddedClient(Self.plain)
        for field in ["SCRIPT_NAME: /.well-known", "X-API-Key:"] {
            try client.send("\(method) /.well-known/mcp HTTP/1.1\r\nHost: t\r\n\(field)\r\n\r\n")
            let answers = try client.answers()
            #expect(answers.map(\.status) == [405])
            #expect(answers.first?["Allow"] == "GET, HEAD, OPTIONS")
            #expect(answers.first?.all("WWW-Authenticate") == [])
        }
        #expect(client.handlers.isEmpty)
    }

    @Test(arguments: ["GET", "HEAD", "OPTIONS"])
    func wellKnownIsSeenAsItWasJudged(method: String) throws {
        let client = try EmbeddedClient(Self.plain)
        try client.send(
            "\(method) /.well-known/mcp HTTP/1.1\r\nHost: t\r\n"
                + "SCRIPT_NAME: /.well-known\r\nDaphne-Root-Path: /.well-known\r\n\r\n")
        let request = try client.forwarded()
        #expect(request.hasPrefix("\(method) /.well-known/mcp HTTP/1.1\r\n"))
        #expect(!request.lowercased().contains("script_name") && !request.lowercased().contains("root-path"))
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.answers(to: method).map(\.status) == [200])
    }

    // MARK: Credentials

    private static let key = "mcp_" + String(repeating: "k", count: 43)
    private static let other = "mcp_" + String(repeating: "o", count: 43)

    @Test(arguments: [
        "{}", "BEARER\t{}", "Bearer, {}", "Basic {}", "Token token=\"{}\"", "Bearer theirs,{}", "bearer:{}", "Key={};x",
        "Bearer ~{}", "%22{}%22", "a-{}.b",
    ])
    func aKeyInAnyFormStaysHere(form: String) throws {
        let fields = ["X-API-Key: \(Self.key)", "Authorization: " + form.replacing("{}", with: Self.other)]
        // Who pays is said by the other field alone.
        #expect(try Triaged("GET /x", fields).description == "protected \(Self.key)")
        #expect(try ForwardedRequest(fields: fields).kept() == [])
        let open = "routes: [{path: /open, public: true}]"
        #expect(try Triaged("GET /open", [fields[1]], by: open).description == "publicRoute 192.0.2.1")
        #expect(try ForwardedRequest(settings: open, request: "GET /open", fields: [fields[1]]).kept() == [])
    }

    @Test func aKeyThatIsNotLookedForStaysHere() throws {
        let settings = "keys: {headers: [X-Mine]}"
        let fields = ["X-Mine: \(Self.key)", "Authorization: Bearer \(Self.key)"]
        #expect(try Triaged("GET /x", fields, by: settings).description == "protected \(Self.key)")
        #expect(try ForwardedRequest(settings: settings, fields: fields).kept() == [])
    }

    @Test(arguments: ["Basic bWNwX2I6eA==", "Bearer eyJmcp_-x.y", "Digest username=\"amcp_x\"", "mcp_"])
    func otherCredentialsPass(value: String) throws {
        let fields = ["X-API-Key: \(Self.key)", "Authorization: \(value)"]
        #expect(try Triaged("GET /x", fields).description == "protected \(Self.key)")
        #expect(try ForwardedRequest(fields: fields).kept() == [fields[1]])
    }

    // MARK: Preflights

    private static let routes = """
        routes:
          - {path: /api/listings, methods: [GET]}
          - {path: "/files/{rest*}"}
          - {path: /mcp, mcp: true}
        upstream: {url: "http://127.0.0.1:1"}
        redis: {on_failure: open}
        """
    private static let refusing = routes + "\npreflights: refuse"
    private static let asks = ["Origin: https://app.example.com", "Access-Control-Request-Method: DELETE"]

    private static func options(_ target: String, _ fields: [String], body: String = "") -> String {
        (["OPTIONS \(target) HTTP/1.1", "Host: t"] + asks + fields).joined(separator: "\r\n") + "\r\n\r\n\(body)"
    }

    @Test func aPreflightBringsNoCredentialAlong() throws {
        let client = try EmbeddedClient(Self.routes)
        let credentials = ["Authorization: Basic dTpw", "Cookie: session=1", "X-API-Key: theirs"]
        try client.send(Self.options("/files/a?do=delete", credentials + ["X-Kept: 1"]))
        let request = try client.forwarded().split(separator: "\r\n").map(String.init)
        #expect(request.first == "OPTIONS /files/a?do=delete HTTP/1.1")
        #expect(request.contains("X-Kept: 1") && request.contains(Self.asks[0]))
        for name in ["authorization:", "cookie:", "x-api-key:"] {
            #expect(!request.contains { $0.lowercased().hasPrefix(name) })
        }
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.answers().map(\.status) == [200])
    }

    @Test(arguments: [
        (routes, options("/files/a", ["Content-Length: 1"], body: "x"), 401),
        (routes, options("/files/a", ["Transfer-Encoding: chunked"], body: "0\r\n\r\n"), 401),
        (refusing, options("/files/a", []), 401), (refusing, options("/api/listings", []), 405),
        (refusing, options("/mcp", []), 405),
    ])
    func othersAreNoPreflights(settings: String, request: String, status: Int) throws {
        let client = try EmbeddedClient(settings)
        try client.send(request)
        #expect(try client.answers().map(\.status) == [status])
        #expect(client.handlers.isEmpty)
    }

    @Test func whereTheyAreRefusedAKeyAndACookiePass() throws {
        let fields = ["X-API-Key: \(Self.key)", "Cookie: a=b"] + Self.asks
        #expect(
            try Triaged("OPTIONS /files/a", fields, by: Self.refusing).description == "protected \(Self.key)")
        #expect(
            try ForwardedRequest(settings: Self.refusing, request: "OPTIONS /files/a", fields: fields).kept()
                == ["Cookie: a=b"] + Self.asks)
    }
}
