// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Directory
@testable import Limits

/// The text is a wire format: sidecars and CLIs of other versions read it.
@Suite struct PolicySetTests {
    private let search = Policy(
        name: "search", per: .key, appliesTo: .all, limit: Limit(count: 5, periodMicroseconds: 60_000_000, burst: 9),
        cost: 2, match: Policy.Match(routes: ["/mcp", "/a/{id}"], methods: ["POST"]))

    @Test func theTextIsAsDocumented() {
        let (set, text) = PolicySet.published(Policy.builtIn())
        #expect(
            text == """
                {"policies":[{"applies_to":"anonymous","cost":1,"limit":"15/10s","match":{"methods":[],"routes":[]},\
                "name":"address","per":"address"},{"applies_to":"authenticated","cost":1,"limit":"20/10s",\
                "match":{"methods":[],"routes":[]},"name":"org","per":"org"}]}
                """)
        #expect(set.policies == Policy.builtIn())
        #expect(set.hash.wholeMatch(of: /[0-9a-f]{32}/) != nil)
    }

    @Test func readsBackWhatItWrote() throws {
        let (set, text) = PolicySet.published(Policy.builtIn() + [search])
        #expect(PolicySet(parsing: text, hash: set.hash) == set)
        #expect(PolicySet.published(set.policies).text == text)
    }

    private let terms = KeyTerms(
        prefix: "sk_", accept: ["sk_", "mcp-*-old"], headers: ["X-Token"], maximumActive: 50)

    @Test func whatIsTakenForAKeyStandsBesideThem() throws {
        let (set, text) = PolicySet.published([], keys: terms)
        #expect(
            text == """
                {"keys":{"accept":["sk_","mcp-*-old"],"check":"prefer","check_file":false,"headers":["X-Token"],\
                "max_active_per_org":50,"prefix":"sk_"},"policies":[]}
                """)
        #expect(PolicySet(parsing: text, hash: set.hash) == set)
        #expect(set.keys == terms)
        #expect(set.hash != PolicySet.published([]).set.hash)
        #expect(
            ["sk_a", "mcp-b-old", "mcp_a", "sk_", "sk_ b"].map(terms.accepts) == [true, true, false, false, false])
    }

    private static let longPrefix = terms(prefix: String(repeating: "a", count: 33))
    private static let longEntry = terms(accept: ["a", String(repeating: "a", count: 513)])
    private static let longHeader = terms(headers: [String(repeating: "H", count: 256)])
    private static let longList = terms(accept: ["a"] + (1...1000).map { "b\($0)" })

    private static func terms(prefix: String = "a", accept: [String]? = nil, headers: [String] = ["H"]) -> String {
        #"{"prefix":"\#(prefix)","accept":\#(accept ?? [prefix]),"headers":\#(headers),"max_active_per_org":1}"#
    }

    /// At their bounds.
    @Test func termsThatAConfigurationCanSayAreRead() throws {
        let most = KeyTerms(
            prefix: String(repeating: "~", count: 32),
            accept: ["~*"] + (1..<999).map { "b\($0)" } + [String(repeating: "!", count: 512)],
            headers: [String(repeating: "h", count: 255)], maximumActive: 100_000)
        let (set, text) = PolicySet.published([], keys: most)
        #expect(PolicySet(parsing: text, hash: set.hash)?.keys == most)
    }

    /// Others may write to Redis: what a terminal would obey, or a newer version, is no reason to pass over the policies.
    @Test(arguments: [
        #"{"prefix":"a\u001b[2J","accept":["a"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a b"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":[""],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":["H"],"max_active_per_org":-1}"#,
        #"{"prefix":"a","accept":"a","headers":["H"],"max_active_per_org":1}"#, #"{"prefix":"a"}"#, "null", "3",
        // What no configuration can say.
        #"{"prefix":"*","accept":["*"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"x","accept":["zzz"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a?"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":[],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a","a"],"headers":["H"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":[],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":["H","h"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":["a:b"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":["Host"],"max_active_per_org":1}"#,
        #"{"prefix":"a","accept":["a"],"headers":["H"],"max_active_per_org":0}"#,
        #"{"prefix":"a","accept":["a"],"headers":["H"],"max_active_per_org":100001}"#,
        longPrefix, longEntry, longHeader, longList,
    ])
    func termsThatAreNoneAreLeftOut(keys: String) throws {
        let (policies, text) = PolicySet.published(Policy.builtIn())
        let set = try #require(PolicySet(parsing: "{\"keys\":\(keys),\(text.dropFirst())", hash: policies.hash))
        #expect(set == policies)
    }

    @Test func whatMCPPoliciesSayIsWrittenWhereItIsGiven() throws {
        let tools = Policy(
            name: "tools", per: .key, limit: Limit(count: 5, periodMicroseconds: 60_000_000),
            toolCosts: ["search": 5, "db_drop": 0],
            match: Policy.Match(
                mcpMethods: [Glob("tools/*")], tools: [Glob("search"), Glob("db_*")], prompts: [Glob("p?")],
                resources: [Glob("file:///*")]), reject: .toolError, waitMicroseconds: 1_500_000)
        let (set, text) = PolicySet.published([tools, .handshake()])
        #expect(
            text == """
                {"policies":[{"applies_to":"authenticated","cost":1,"limit":"5/m","match":{"mcp_methods":["tools/*"],\
                "methods":[],"prompts":["p?"],"resources":["file:///*"],"routes":[],"tools":["search","db_*"]},\
                "name":"tools","per":"key","reject":"tool_error","tool_costs":{"db_drop":0,"search":5},"wait":1500000},\
                {"applies_to":"authenticated","cost":1,"limit":"120/m","match":{"mcp_methods":["initialize",\
                "server/discover"],"methods":[],"routes":[]},"name":"handshake","per":"key"}]}
                """)
        #expect(PolicySet(parsing: text, hash: set.hash) == set)
    }

    @Test func lengthsOfAddressesAreWrittenWhereTheyAreNotTheStandard() throws {
        var blocks = Policy(name: "blocks", per: .address, limit: Limit(count: 5, periodMicroseconds: 60_000_000))
        blocks.addressPrefix = AddressPrefix(ipv4: 24, ipv6: 56)
        let (set, text) = PolicySet.published([blocks])
        #expect(
            text == """
                {"policies":[{"address_prefix":{"ipv4":24,"ipv6":56},"applies_to":"anonymous","cost":1,"limit":"5/m",\
                "match":{"methods":[],"routes":[]},"name":"blocks","per":"address"}]}
                """)
        #expect(PolicySet(parsing: text, hash: set.hash) == set)
        let odd = try #require(PolicySet(parsing: text.replacing("56", with: "156"), hash: "h"))
        #expect(odd.policies.isEmpty && odd.unknown == ["blocks"])
    }

    /// Of an older version, without them.
    @Test func whatIsNotWrittenIsNotAsked() throws {
        let text = """
            {"policies":[{"applies_to":"all","cost":2,"limit":"5/m:9","match":{"methods":["POST"],\
            "routes":["/mcp","/a/{id}"]},"name":"search","per":"key"}]}
            """
        #expect(try #require(PolicySet(parsing: text, hash: "h")).policies == [search])
    }

    @Test func theHashTellsSetsApart() {
        var changed = search
        changed.cost = 3
        var waiting = search
        waiting.waitMicroseconds = 1
        let hashes = [[search], [changed], [waiting], [], Policy.builtIn()].map { PolicySet.published($0).set.hash }
        #expect(Set(hashes).count == 5)
        #expect(PolicySet.published([search]).set.hash == hashes[0])
    }

    /// Of a newer version: members and kinds that this one doesn't know.
    @Test func keepsTheNamesOfKindsItDoesNotKnow() throws {
        let text = """
            {"format":7,"policies":[{"name":"streams","per":"key","concurrency":4},{"name":"org","per":"org",\
            "limit":"20/10s","colour":"red"},{"name":"key","per":"key","limit":"1/s","mode":"dry"},{"name":"monthly","per":"org","quota":"5/month"},\
            {"name":"team","per":"team","limit":"1/s"},{"name":"odd","per":"key","limit":"1/fortnight"}]}
            """
        let set = try #require(PolicySet(parsing: text, hash: "h"))
        #expect(
            set.policies == [Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 10_000_000))])
        #expect(set.unknown == ["streams", "key", "monthly", "team", "odd"])
        #expect(set.hash == "h")
    }

    @Test(arguments: ["", "{}", "[]", "{\"policies\":[{}]}", "{\"policies\":3}", "\u{0}"]) func isNone(text: String) {
        #expect(PolicySet(parsing: text, hash: "h") == nil)
    }
}
