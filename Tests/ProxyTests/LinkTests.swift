// SPDX-License-Identifier: Apache-2.0

import Settings
import Testing

@testable import Proxy

/// By which names a handler calls itself, and what becomes of them.
@Suite struct LinkTests {
    private static let edge = ["X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]

    private func location(
        _ location: String, upstream: String = "url: 'http://127.0.0.1:8081'", route: Settings.Route? = nil,
        host: String = "edge.internal", _ fields: [String] = edge, peerIsTrusted: Bool = true
    ) throws -> String? {
        let answer = ForwardedAnswer(
            settings: "upstream: {\(upstream)}", route: route,
            request: ["GET / HTTP/1.1", "Host: \(host)"] + fields, peerIsTrusted: peerIsTrusted)
        let values = try answer.values(of: "Location", of: ["Location: \(location)"])
        #expect(values.count == 1)
        return values.first
    }

    @Test(arguments: [
        ("url: 'http://127.0.0.1:8081'", "127.0.0.1:8081"), ("url: 'http://127.0.0.1'", "127.0.0.1"),
        ("url: 'http://handler.internal:8081'", "handler.internal:8081"), ("url: 'http://Handler'", "handler"),
        ("url: 'http://[::1]:8081'", "[::1]:8081"), ("url: 'http://[::1]'", "[::1]"),
        ("url: 'unix:/run/handler.sock'", "localhost"),
        ("url: 'unix:/run/handler.sock', host: inner.example", "inner.example"),
        // The Host it was sent, and its own address.
        ("url: 'http://127.0.0.1:8081', host: inner.example", "inner.example"),
        ("url: 'http://127.0.0.1:8081', host: inner.example", "127.0.0.1:8081"),
        ("url: 'http://127.0.0.1:8081', host: preserve", "127.0.0.1:8081"),
        ("url: 'http://127.0.0.1:8081', host: preserve", "edge.internal"),
    ])
    func theHandlerIsNamedAsItsClientKnowsUs(upstream: String, name: String) throws {
        for scheme in ["http", "https", "HTTP", "Https"] {
            for rest in ["", "/", "/dir/?a=http://127.0.0.1:8081/", "?a", "#b"] {
                #expect(
                    try location("\(scheme)://\(name)\(rest)", upstream: upstream) == "https://shop.example\(rest)")
            }
        }
        #expect(try location("//\(name.uppercased())/dir/", upstream: upstream) == "//shop.example/dir/")
    }

    @Test(arguments: [
        // Default ports, and empty ones.
        ("http://handler:80/x", "https://shop.example/x"), ("https://handler:443/x", "https://shop.example/x"),
        ("http://handler:/x", "https://shop.example/x"), ("https://handler:80/x", "https://handler:80/x"),
        ("http://handler:443/x", "http://handler:443/x"), ("http://handler:8080/x", "http://handler:8080/x"),
        // Somebody else.
        ("http://handler.example/x", "http://handler.example/x"),
        ("http://handler@evil.example/", "http://handler@evil.example/"),
        ("http://handlers/x", "http://handlers/x"), ("http://user@handler/x", "http://user@handler/x"),
        ("http:handler/x", "http:handler/x"), ("http:///x", "http:///x"), ("ftp://handler/x", "ftp://handler/x"),
        ("/handler/x", "/handler/x"), ("x?u=http://handler/", "x?u=http://handler/"), ("", ""),
    ])
    func othersPass(location: String, expected: String) throws {
        #expect(try self.location(location, upstream: "url: 'http://handler'") == expected)
    }

    @Test(arguments: [
        (["X-Forwarded-Proto: https, http"], "https://edge.internal/x"),
        (["X-Forwarded-Proto: http, https"], "http://edge.internal/x"),
        (["X-Forwarded-Proto: HTTPS"], "https://edge.internal/x"),
        (["X-Forwarded-Proto: , https"], "https://edge.internal/x"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], "https://edge.internal/x"),
        (["X-Forwarded-Proto: on"], "http://edge.internal/x"), (["X-Forwarded-Proto:"], "http://edge.internal/x"),
        (["X-Forwarded-Proto: javascript"], "http://edge.internal/x"), ([], "http://edge.internal/x"),
        (["X-Forwarded-Host: a.example, b.example"], "http://a.example/x"),
        (["X-Forwarded-Host: a.example:8443", "X-Forwarded-Host: b.example"], "http://a.example:8443/x"),
        (["X-Forwarded-Host: a.example:"], "http://a.example/x"),
        (["X-Forwarded-Host: [2001:db8::1]:80"], "http://[2001:db8::1]:80/x"),
        // What is no host is none of ours.
        (["X-Forwarded-Host: a.example/evil"], "http://edge.internal/x"),
        (["X-Forwarded-Host: user@evil.example"], "http://edge.internal/x"),
        (["X-Forwarded-Host:"], "http://edge.internal/x"),
    ])
    func claimsAreTakenByTheirFirstElement(fields: [String], expected: String) throws {
        #expect(try location("http://127.0.0.1:8081/x", fields) == expected)
    }

    @Test func nobodyElseMayClaim() throws {
        let own = "http://127.0.0.1:8081/x"
        #expect(try location(own, peerIsTrusted: false) == "http://edge.internal/x")
        #expect(
            try location(own, host: "edge.internal:8080", [], peerIsTrusted: false) == "http://edge.internal:8080/x")
        #expect(try location(own, host: "edge.internal:", [], peerIsTrusted: false) == "http://edge.internal/x")
    }

    @Test func aHandlerMaySendItsClientToHTTPS() throws {
        // As middleware does that redirects to HTTPS: were it taken back, the client would ask for ever.
        #expect(try location("https://127.0.0.1:8081/x", []) == "https://edge.internal/x")
        #expect(try location("https://edge.internal/x", upstream: "host: preserve", []) == "https://edge.internal/x")
    }

    @Test func hostIsWhatTheRouteSends() throws {
        let listed = Settings.Route(path: "/a")
        #expect(try location("http://edge.internal/x", route: listed) == "https://shop.example/x")
        #expect(try location("http://edge.internal/x") == "http://edge.internal/x")
        var named = listed
        named.host = .name("inner.example")
        #expect(try location("http://inner.example/x", route: named) == "https://shop.example/x")
        #expect(try location("http://edge.internal/x", route: named) == "http://edge.internal/x")
    }

    @Test func aSocketOfAnotherIsNoName() throws {
        // A sign-in that ends on the client's own machine.
        let upstream = "url: 'unix:/run/handler.sock', host: preserve"
        #expect(try location("http://localhost/callback", upstream: upstream) == "http://localhost/callback")
    }

    @Test func aClientThatGivesNoNameIsLeftWithThePath() throws {
        let answer = ForwardedAnswer(request: ["GET / HTTP/1.0"])
        for (rest, expected) in [
            ("/x?y", "/x?y"), ("", "/"), ("?y", "/?y"), ("#y", "/#y"), ("/", "/"), ("/x//y", "/x//y"),
            // Without a host in front these would name another's.
            ("//evil.example/x/", "/.//evil.example/x/"), ("/\\evil.example/", "/./\\evil.example/"),
            ("\\evil.example/", "/.\\evil.example/"), ("\\\\evil.example/", "/.\\\\evil.example/"),
            ("/\t/evil.example/", "/./\t/evil.example/"), ("///evil.example/", "/.///evil.example/"),
        ] {
            for scheme in ["http:", "https:", ""] {
                let own = "\(scheme)//127.0.0.1:8081\(rest)"
                for name in ["Location", "Content-Location"] {
                    #expect(try answer.values(of: name, of: ["\(name): \(own)"]) == [expected])
                }
                #expect(
                    try answer.values(of: "Refresh", of: ["Refresh: 0; url='\(own)'"]) == ["0; url='\(expected)'"])
            }
        }
    }

    @Test(arguments: [
        ("5; url=http://127.0.0.1:8081/x", "5; url=https://shop.example/x"),
        ("0;URL='http://127.0.0.1:8081/x'", "0;URL='https://shop.example/x'"),
        ("1.5 , url = \"http://127.0.0.1:8081\"", "1.5 , url = \"https://shop.example\""),
        ("0; http://127.0.0.1:8081/x", "0; https://shop.example/x"),
        ("0;\turl=\"//127.0.0.1:8081/x\"", "0;\turl=\"//shop.example/x\""),
        ("0; url=' http://127.0.0.1:8081/'", "0; url=' https://shop.example/'"),
        ("0; \"\thttp://127.0.0.1:8081/\"", "0; \"\thttps://shop.example/\""),
        ("5", "5"), ("5;", "5;"), ("5; url=/x", "5; url=/x"), ("http://127.0.0.1:8081/", "http://127.0.0.1:8081/"),
        ("5; url=http://elsewhere.example/", "5; url=http://elsewhere.example/"), ("5; url", "5; url"), ("", ""),
    ])
    func aRefreshIsMended(value: String, expected: String) throws {
        let answer = ForwardedAnswer(request: ["GET / HTTP/1.1", "Host: edge.internal"] + Self.edge)
        #expect(try answer.lines(of: ["Refresh: \(value)"]).contains("Refresh: \(expected)"))
    }

    @Test func fieldsKeepTheirNamesAndTheirOrder() throws {
        let answer = ForwardedAnswer(request: ["GET / HTTP/1.1", "Host: edge.internal"] + Self.edge)
        let passed = ["location: /x", "CONTENT-LOCATION: http://elsewhere.example/y", "X-Own: http://127.0.0.1:8081/"]
        #expect(try Array(answer.lines(of: passed)[1...3]) == passed)
        let mended = try answer.lines(of: [
            "location: http://127.0.0.1:8081/x", "CONTENT-Location: https://127.0.0.1:8081/y",
            "refresh: 0;http://127.0.0.1:8081",
        ])
        #expect(
            Array(mended[1...3]) == [
                "location: https://shop.example/x", "CONTENT-Location: https://shop.example/y",
                "refresh: 0;https://shop.example",
            ])
    }
}
