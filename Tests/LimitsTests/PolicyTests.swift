// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing

@Suite struct PolicyTests {
    private let limit = Limit(count: 10, periodMicroseconds: 1_000_000)

    @Test func aFixedCostIsThatOfEveryRequest() {
        let policy = Policy(name: "p", per: .key, limit: limit, cost: 3)
        #expect(policy.cost(ofTool: nil) == 3)
        #expect(policy.cost(ofTool: "search") == 3)
    }

    @Test func aMapOfCostsLeavesOneToTheRest() {
        let policy = Policy(name: "p", per: .key, limit: limit, toolCosts: ["search": 5, "ping": 0, "db_*": 7])
        #expect(policy.cost(ofTool: "search") == 5)
        #expect(policy.cost(ofTool: "ping") == 0)
        #expect(policy.cost(ofTool: "other") == 1)
        #expect(policy.cost(ofTool: nil) == 1)
        // Names, not patterns.
        #expect(policy.cost(ofTool: "db_drop") == 1)
    }

    @Test(arguments: [
        (Policy.Match(), false), (Policy.Match(routes: ["/mcp"], methods: ["POST"]), false),
        (Policy.Match(mcpMethods: [Glob("ping")]), true), (Policy.Match(tools: [Glob("*")]), true),
        (Policy.Match(prompts: [Glob("p")]), true), (Policy.Match(resources: [Glob("file:*")]), true),
    ])
    func readsContentWhereAnyOfTheFourIsGiven(match: Policy.Match, readsContent: Bool) {
        #expect(match.readsContent == readsContent)
        // Route and method are told without it.
        #expect(match.covers(routes: ["/mcp"], method: "POST"))
    }

    /// As in routes: a handler does the same work for both.
    @Test func getIncludesHead() {
        let reads = Policy.Match(methods: ["GET"])
        #expect(["GET", "HEAD", "POST"].map { reads.covers(routes: [], method: $0) } == [true, true, false])
        #expect(
            ["GET", "HEAD"].map { Policy.Match(methods: ["HEAD"]).covers(routes: [], method: $0) } == [false, true])
    }

    @Test func asksOfAnyRouteThatIsTaken() {
        let match = Policy.Match(routes: ["/a", "/b"])
        #expect(match.covers(routes: ["/x", "/b"], method: "GET") && match.covers(routes: ["/a"], method: "GET"))
        #expect(!match.covers(routes: ["/x"], method: "GET") && !match.covers(routes: [], method: "GET"))
        #expect(Policy.Match().covers(routes: [], method: "GET"))
    }

    @Test func theHandshakeIsAPolicyLikeOthers() {
        let policy = Policy.handshake()
        #expect(policy.isHandshake)
        #expect(policy.name == "handshake")
        #expect((policy.subject, policy.callers) == (.key, .authenticated))
        #expect(policy.allowance.description == "120/m")
        #expect(policy.match == Policy.Match(mcpMethods: [Glob("initialize"), Glob("server/discover")]))
        #expect((policy.cost, policy.reject, policy.waitMicroseconds) == (1, .auto, 0))
        #expect(Policy.handshake(limit: limit, reject: .http, waitMicroseconds: 7).allowance == .rate(limit))
        #expect(Policy.builtIn().allSatisfy { !$0.isHandshake })
    }

    @Test func openStreamsAreAPolicyLikeOthers() {
        let policy = Policy.openStreams()
        #expect((policy.isOpenStreams, policy.isHandshake, policy.isBuiltInForMessages) == (true, false, true))
        #expect(policy.name == "open-streams")
        #expect((policy.subject, policy.callers) == (.key, .authenticated))
        #expect(policy.allowance == .concurrency(100))
        #expect(policy.match == Policy.Match(mcpMethods: [Glob("subscriptions/listen")]))
        #expect(Policy.builtIn().allSatisfy { !$0.isOpenStreams })
    }

    @Test func rejectIsSpeltAsInTheFile() {
        #expect(Policy.Reject.allCases.map(\.rawValue) == ["auto", "http", "jsonrpc", "tool_error"])
    }
}
