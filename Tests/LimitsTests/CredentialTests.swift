// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing

@Suite struct CredentialTests {
    @Test(arguments: [
        ("mcp_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", true), ("mcp_x", true), ("mcp_", false), ("mcp", false),
        ("", false), ("MCP_x", false), ("xmcp_x", false), ("mcp_a b", false), ("mcp_a\u{7F}", false),
        ("mcp_\u{E9}", false), ("mcp_a\t", false), ("mcp_" + String(repeating: "a", count: 508), true),
        ("mcp_" + String(repeating: "a", count: 509), false),
    ])
    func acceptsByPrefix(key: String, isAccepted: Bool) {
        #expect(CredentialFormat(prefix: "mcp_", accept: ["mcp_"]).accepts(Array(key.utf8)) == isAccepted)
    }

    @Test(arguments: [
        ("sk-*-prod", "sk-a-prod", true), ("sk-*-prod", "sk--prod", true), ("sk-*-prod", "sk-prod", false),
        ("sk-*-prod", "sk-a-prod-b", false), ("sk-*-prod", "sk-a-prod-b-prod", true), ("????-??", "abcd-ef", true),
        ("????-??", "abcd-e", false), ("*", "x", true), ("*a*b*", "xxaxxbxx", true), ("*a*b*", "bbbaaa", false),
        ("key_?*", "key_", false), ("key_?*", "key_1", true),
    ])
    func acceptsByPattern(pattern: String, key: String, isAccepted: Bool) {
        #expect(CredentialFormat(prefix: "mcp_", accept: [pattern]).accepts(Array(key.utf8)) == isAccepted)
    }

    @Test func takesAnyEntryAndThePrefixWhereThereIsNone() {
        let both = CredentialFormat(prefix: "mcp_", accept: ["mcp_", "sk-*"])
        #expect(both.accepts(Array("sk-1".utf8)) && both.accepts(Array("mcp_1".utf8)))
        #expect(!both.accepts(Array("pk-1".utf8)))
        let none = CredentialFormat(prefix: "mcp_", accept: [])
        #expect(none.accepts(Array("mcp_1".utf8)) && !none.accepts(Array("x".utf8)))
    }

    /// `^` in the text stands before what is found, `$` behind it.
    @Test(arguments: [
        "mcp_^0123456789abcdef$", "/api/mcp_^0123456789abcdef$/x", "mcp_0123456789abcde",
        "/mcp_tools/a-long-path-behind-it", "/mcp_^0123456789abcdef+Zg==$/mcp_0123456789abcdef",
        "~mcp_^a.b-c_d~e0123456$", "/%22mcp_^0123456789abcdef%22$", "/xmcp_0123456789abcdef",
        "/task-management-of-all-of-us", "/sk-^management-of-all-of-us$",
        "/x/sk-^aaaaaaaaaaaaaaaa$/mcp_0123456789abcdef", "", "mcp_", "mcp_012345 6789abcdef", "MCP_0123456789abcdef",
        "mcp_mcp_0123456789a",
    ])
    func findsWhatIsSecretOfAKey(marked: String) {
        let format = CredentialFormat(prefix: "mcp_", accept: ["mcp_", "sk-*-us", "*", "k*"])
        let text = Array(marked.utf8.filter { !"^$".utf8.contains($0) })
        guard let secret = format.secret(in: text.span) else { return #expect(!marked.contains("^")) }
        var found = text
        found.insert(UInt8(ascii: "$"), at: secret.upperBound)
        found.insert(UInt8(ascii: "^"), at: secret.lowerBound)
        #expect(String(decoding: found, as: UTF8.self) == marked)
    }

    @Test func findsTheNextSecretBehindAPlace() {
        let format = CredentialFormat(prefix: "mcp_", accept: [])
        let text = Array("/mcp_0123456789abcdef/mcp_fedcba9876543210".utf8)
        #expect(format.secret(in: text.span) == 5..<21)
        #expect(format.secret(in: text.span, from: 5) == 26..<42)
        #expect(format.secret(in: text.span, from: 26) == nil)
    }

    @Test func aPatternOfStarsTakesNoTimeToSpeakOf() {
        let stars = CredentialFormat(prefix: "", accept: [String(repeating: "*a", count: 30) + "b"])
        #expect(!stars.accepts([UInt8](repeating: UInt8(ascii: "a"), count: 512)))
    }

    @Test func hashesTheWholeKey() {
        // FIPS 180-2, appendix B.1.
        #expect(
            String(decoding: CredentialHash(of: Array("abc".utf8)).hexadecimal, as: UTF8.self)
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(CredentialHash(of: Array("abc".utf8)) != CredentialHash(of: Array("abd".utf8)))
    }
}
