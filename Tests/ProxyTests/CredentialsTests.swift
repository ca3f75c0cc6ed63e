// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Limits
import Testing

@testable import Proxy

@Suite struct CredentialsTests {
    private static let fields = ["X-API-Key", "Authorization"].compactMap(FieldName.init)
    private let credentials = Credentials(
        fields: fields, format: CredentialFormat(prefix: "mcp_", accept: []), isForwarded: false)

    private func find(_ fields: String...) throws -> Credentials.Finding {
        credentials.find(in: try RoutingHeads.head("/", fields: fields))
    }

    @Test(arguments: [
        ["X-API-Key: mcp_a"], ["Authorization: Bearer mcp_a"], ["authorization: bEARER   mcp_a"],
        ["X-API-Key: mcp_a", "Authorization: Bearer mcp_a"], ["X-API-Key: mcp_a", "Authorization: Bearer theirs"],
        ["X-API-Key: mcp_a", "Authorization: Basic bWNwX2I="], ["X-API-Key:", "Authorization: Bearer mcp_a"],
    ])
    func oneCredential(fields: [String]) throws {
        #expect(credentials.find(in: try RoutingHeads.head("/", fields: fields)) == .one(Array("mcp_a".utf8)))
    }

    @Test(arguments: ["Authorization: Bearer theirs", "Authorization: Basic x", "X-API-Key:", "X_API_Key: mcp_a"])
    func whatIsNoneOfOurs(field: String) throws {
        #expect(try find(field) == .none)
    }

    @Test func anAPIKeyIsJudgedWhateverItHolds() throws {
        #expect(try find("X-API-Key: junk") == .one(Array("junk".utf8)))
    }

    @Test func clashes() throws {
        #expect(
            try find("X-API-Key: mcp_a", "Authorization: Bearer mcp_b") == .clash("Two different credentials are given")
        )
        #expect(try find("X-API-Key: mcp_a", "X-API-Key: mcp_a") == .clash("x-api-key is given more than once"))
        #expect(
            try find("Authorization: Basic a", "Authorization: Bearer mcp_a")
                == .clash("authorization is given more than once"))
    }

    @Test(arguments: [
        ("X-API-Key: mcp_a", true), ("X_API_Key: mcp_a", true), ("Authorization: Bearer mcp_a", true),
        ("X-API-Key: theirs", false), ("Authorization: Bearer theirs", false), ("X-Other: mcp_a", false),
        // In forms that nobody looks for, too.
        ("Authorization: mcp_a", true), ("Authorization: BEARER\tmcp_a", true), ("Authorization: Basic mcp_a", true),
        ("Authorization: Token token=\"mcp_a\", x=y", true), ("Authorization: Bearer theirs,mcp_a", true),
        ("X-API-Key: theirs mcp_a", true), ("X-API-Key: key:mcp_a;v=1", true), ("Authorization: mcp_", false),
        ("Authorization: Bearer amcp_a", false), ("Authorization: Basic bWNwX2E6", false),
        ("Authorization: Bearer eyJmcp_a.x", false), ("Authorization: Bearer %2mcp_a", false),
        // Within a run of a key's octets.
        ("Authorization: Bearer ~mcp_a", true), ("Authorization: Bearer a-mcp_a.b", true),
        ("Authorization: Bearer eyJ.mcp_a.x", true), ("X-API-Key: %22mcp_a%22", true), ("X-API-Key: x_mcp_a", true),
        ("Authorization: Bearer ~mcp_", false), ("Authorization: Bearer ~mcp_\u{E9}", false),
        ("Authorization: Bearer ~mcp_a\u{E9}", true),
    ])
    func ourKeysAreStrippedInAnyForm(field: String, isStripped: Bool) throws {
        let head = try RoutingHeads.head("/", fields: [field])
        let last = try #require(head.fields.last)
        #expect(credentials.strips(last, of: head) == isStripped)
    }

    /// Longer than any key: it is where a key begins that counts.
    @Test func aKeyBeforeOrBehindALongRunIsStripped() throws {
        let run = String(repeating: "-", count: 8_000)
        for (value, isStripped) in [(run, false), (run + "mcp_a", true), ("~mcp_a" + run, true), (run + "mcp", false)] {
            let head = try RoutingHeads.head("/", fields: ["Authorization: Bearer \(value)"])
            #expect(try credentials.strips(#require(head.fields.last), of: head) == isStripped)
        }
    }

    @Test func aPatternIsAWordToo() throws {
        let credentials = Credentials(
            fields: ["X-Mine"].compactMap(FieldName.init),
            format: CredentialFormat(prefix: "mcp_", accept: ["team:*", "sk/?-prod"]), isForwarded: false)
        for field in ["X-Mine: a team:x", "Authorization: Bearer sk/1-prod", "authorization: sk/1-prod, x"] {
            let head = try RoutingHeads.head("/", fields: [field])
            #expect(try credentials.strips(#require(head.fields.last), of: head))
        }
        let head = try RoutingHeads.head("/", fields: ["X-API-Key: team:x"])
        #expect(try !credentials.strips(#require(head.fields.last), of: head))
    }
}
