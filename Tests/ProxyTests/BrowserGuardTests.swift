// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Testing

@testable import Proxy

/// Which hosts and pages may ask on an `mcp` route, and where they learn who issues tokens.
@Suite struct BrowserGuardTests {
    private static let listed = """
        mcp: {hosts: [api.example.com, "127.0.0.1:8080"], origins: ["https://app.example.com", "http://localhost:*"]}

        """

    private func client(_ settings: String, knowing key: KnownKey = EmbeddedClient.key) throws -> EmbeddedClient {
        try EmbeddedClient(EmbeddedClient.shop + EmbeddedClient.counting + settings, knowing: [key])
    }

    @Test(
        arguments: [
            ("API.example.com:443", "https://App.example.com", nil),
            ("127.0.0.1:8080", "http://localhost:5173", nil), ("evil.example", nil, "Host not allowed"),
            ("api.example.com.evil", nil, "Host not allowed"), ("127.0.0.1:8081", nil, "Host not allowed"),
            ("API.example.com:443", "https://evil.example", "Origin not allowed"),
            ("API.example.com:443", "null", "Origin not allowed"),
            ("API.example.com:443", "https://app.example.com:8443", "Origin not allowed"),
            ("API.example.com:443", "http://app.example.com", "Origin not allowed"),
            ("API.example.com:443", "http://localhost:a", "Origin not allowed"),
            ("API.example.com:443", "", "Origin not allowed"),
        ] as [(String, String?, String?)])
    func onlyListedHostsAndPagesAsk(host: String, origin: String?, refusal: String?) throws {
        let client = try client(Self.listed)
        let fields = ["Host: \(host)"] + (origin.map { ["Origin: \($0)"] } ?? [])
        let answer = try client.post(EmbeddedClient.call("a"), fields).answer
        if let refusal {
            answer.expectMessage(403, "Forbidden", refusal)
            #expect(client.handlers.isEmpty)
        } else {
            #expect(answer.status == 200)
        }
    }

    @Test func otherRoutesAreTheHandlersBusiness() throws {
        #expect(try client(Self.listed).get("/api/listings", ["Host: evil.example"]).answer.status == 200)
    }

    @Test(
        arguments: [
            ("127.0.0.1:8080", nil, 200), ("localhost:1", "http://127.0.0.1:3000", 200), ("rebound.example", nil, 403),
            ("localhost", "https://evil.example", 403),
        ] as [(String, String?, Int)])
    func withoutKeysOnlyThisMachineIsMeant(host: String, origin: String?, status: Int) throws {
        let client = try client("keys: {anonymous: allow}\npolicies: []\n")
        let fields = ["Host: \(host)"] + (origin.map { ["Origin: \($0)"] } ?? [])
        #expect(try client.post(EmbeddedClient.call("a"), fields, by: nil).answer.status == status)
        #expect(client.handlers.isEmpty == (status == 403))
    }

    private static let metadata = """
        mcp:
          resource_metadata:
            {resource: "https://api.example.com/mcp", authorization_servers: ["https://login.example.com"]}

        """

    @Test func clientsLearnWhoIssuesTokens() throws {
        let ruled = KnownKey(text: EmbeddedClient.key.text, fields: [.tools: "!a"])
        let client = try client(Self.metadata, knowing: ruled)
        let refused = try client.post(EmbeddedClient.call("a"), by: nil).answer
        #expect(refused.status == 401)
        let place = "https://api.example.com/.well-known/oauth-protected-resource/mcp"
        #expect(refused["WWW-Authenticate"] == "Bearer realm=\"tollgate\", resource_metadata=\"\(place)\"")
        for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
            let answer = try client.ask("GET \(path)").answer
            #expect(answer.status == 200)
            #expect(answer["Content-Type"] == "application/json")
            #expect(
                answer.body == """
                    {"resource":"https://api.example.com/mcp","authorization_servers":["https://login.example.com"],\
                    "bearer_methods_supported":["header"]}
                    """)
            #expect(answer["Access-Control-Allow-Origin"] == "*")
        }
        #expect(try client.ask("GET /.well-known/oauth-protected-resource/other").answer.status == 404)
        // Who speaks OAuth wants the status.
        #expect(try client.post(EmbeddedClient.call("a"), by: ruled).answer.status == 403)
        #expect(client.handlers.isEmpty)
    }
}
