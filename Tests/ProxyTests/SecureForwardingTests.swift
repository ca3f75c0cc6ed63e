// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

/// What a handler and a client are told of a connection that speaks TLS.
@Suite struct SecureForwardingTests {
    private static let trusted = "trusted_proxies: [192.0.2.1]"

    @Test(arguments: [
        ("{}", [], false, ["http"]), ("{}", [], true, ["https"]),
        ("{}", ["X-Forwarded-Proto: http"], true, ["https"]), ("{}", ["X-Forwarded-Proto: https"], false, ["http"]),
        (trusted, [], true, ["https"]), (trusted, ["X-Forwarded-Proto: http"], true, ["http"]),
    ])
    func theSchemeIsThatOfTheConnectionUnlessATrustedPeerSaysAnother(
        settings: String, fields: [String], isSecure: Bool, told: [String]
    ) throws {
        let lines = try ForwardedRequest(settings: settings, fields: fields, isSecure: isSecure).lines()
        let name = "X-Forwarded-Proto: "
        #expect(lines.filter { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) } == told)
    }

    @Test(arguments: ["{}", trusted])
    func theClientsNameIsOurs(settings: String) throws {
        let claims = ["X-Tollgate-Client-Name", "x-tollgate-client-name", "X_Tollgate_Client_Name"].map {
            "\($0): root"
        }
        let nameless = try ForwardedRequest(settings: settings, fields: claims).lines()
        #expect(!nameless.contains { $0.contains("root") })
        let named = try ForwardedRequest(settings: settings, fields: claims, clientName: "spiffe://a/b").lines()
        #expect(
            named.filter { $0.lowercased().contains("tollgate-client") } == ["X-Tollgate-Client-Name: spiffe://a/b"])
        #expect(!named.contains { $0.contains("root") })
    }

    @Test(arguments: [(false, false, "http"), (true, false, "https"), (false, true, "https"), (true, true, "https")])
    func linksGoBackTheWayTheClientCame(isSecure: Bool, claims: Bool, scheme: String) throws {
        let request = ["GET / HTTP/1.1", "Host: shop.example"] + (claims ? ["X-Forwarded-Proto: https"] : [])
        let values = try ForwardedAnswer(request: request, isSecure: isSecure)
            .values(of: "Location", of: ["Location: http://127.0.0.1:8081/next"])
        #expect(values == ["\(scheme)://shop.example/next"])
        let down = ["GET / HTTP/1.1", "Host: shop.example", "X-Forwarded-Proto: http"]
        #expect(
            try ForwardedAnswer(request: down, isSecure: true)
                .values(of: "Location", of: ["Location: http://127.0.0.1:8081/next"]) == ["http://shop.example/next"])
    }

    @Test func strictTransportTakesThePlaceOfTheHandlersOwn() throws {
        let name = "Strict-Transport-Security"
        let own = ["strict-transport-security: max-age=1", "\(name): max-age=2"]
        #expect(try ForwardedAnswer().values(of: name, of: own) == ["max-age=1", "max-age=2"])
        #expect(try ForwardedAnswer(strictTransport: "max-age=3").values(of: name, of: own) == ["max-age=3"])
        #expect(try ForwardedAnswer(strictTransport: "max-age=3").values(of: name, of: []) == ["max-age=3"])
    }
}
