// SPDX-License-Identifier: Apache-2.0

/// One named rule: whose calls share a bucket, and how large the bucket is.
package struct Policy: Sendable, Hashable {
    /// Whose bucket a call is charged to.
    package enum Subject: String, Sendable, Hashable, CaseIterable {
        case address, key, org, global
    }

    /// Which callers the policy asks about.
    package enum Callers: String, Sendable, Hashable, CaseIterable {
        case anonymous, authenticated, all
    }

    /// Which requests the policy asks about: within one list any, between lists all; an empty list matches everything.
    package struct Match: Sendable, Hashable {
        /// `path` of routes, as the configuration lists them.
        package var routes: [String]
        /// HTTP methods, upper case; GET includes HEAD.
        package var methods: [String]
        /// JSON-RPC methods of MCP messages.
        package var mcpMethods: [Glob]
        /// Names that `tools/call` calls.
        package var tools: [Glob]
        /// Names that `prompts/get` asks for.
        package var prompts: [Glob]
        /// URIs that `resources/read`, `subscribe` and `unsubscribe` name.
        package var resources: [Glob]

        package init(
            routes: [String] = [], methods: [String] = [], mcpMethods: [Glob] = [], tools: [Glob] = [],
            prompts: [Glob] = [], resources: [Glob] = []
        ) {
            self.routes = routes
            self.methods = methods
            self.mcpMethods = mcpMethods
            self.tools = tools
            self.prompts = prompts
            self.resources = resources
        }

        /// Whether it takes the body of a request to know.
        package var readsContent: Bool {
            !(mcpMethods.isEmpty && tools.isEmpty && prompts.isEmpty && resources.isEmpty)
        }

        /// - Parameter taken: the routes that the request takes; none where it takes none that is listed.
        package func covers(routes taken: [String], method: String) -> Bool {
            (routes.isEmpty || taken.contains(where: routes.contains)) && covers(method: method)
        }

        /// Where GET is, HEAD is too, as in routes: a handler does the same work for it (RFC 9110 §9.3.2).
        private func covers(method: String) -> Bool {
            methods.isEmpty || methods.contains(method) || method == "HEAD" && methods.contains("GET")
        }
    }

    /// Whom the policy denies anything. For the others it is counted, and what it would have denied, but nobody is told.
    package enum Mode: Sendable, Hashable {
        case enforce, shadow
        /// Of its subjects, so many in ten thousand, always the same ones: raising it only adds some.
        case share(Int)
    }

    /// How a denial is told to an MCP client (docs/mcp.md, "Refusals").
    package enum Reject: String, Sendable, Hashable, CaseIterable {
        /// By what the client survives.
        case auto
        case http, jsonrpc
        case toolError = "tool_error"
    }

    /// `[a-z][a-z0-9-]{0,31}`; it is part of the Redis keys of the policy's buckets.
    package var name: String
    package var subject: Subject
    package var callers: Callers
    package var allowance: Allowance
    package var mode: Mode
    /// Tokens a request takes; 1 unless configured. Of a concurrency policy every request takes one slot.
    package var cost: Int
    /// Tokens a call of each of these tools takes; of any other, 1. Empty: `cost`, whatever is called.
    package var toolCosts: [String: Int]
    package var match: Match
    /// How its denials reach an MCP client.
    package var reject: Reject
    /// How long a request is held that has room within this time; 0: it is denied.
    package var waitMicroseconds: Int
    /// Responses that are paid for; a request answered otherwise gets back what it took.
    package var chargeOn: StatusSet
    /// What tells the callers of `per: address` apart; the standard for all others.
    package var addressPrefix = AddressPrefix()
    /// The field of a response in which the handler says what the request has cost, lower case; nil: it isn't asked.
    package var costField: String?
    /// What becomes of requests that it asks about while Redis is away; nil: what their route has.
    package var onFailure: OnFailure?

    package init(
        name: String, per subject: Subject, appliesTo callers: Callers? = nil, limit: Limit, cost: Int = 1,
        toolCosts: [String: Int] = [:], match: Match = Match(), reject: Reject = .auto, waitMicroseconds: Int = 0
    ) {
        self.init(
            name: name, per: subject, appliesTo: callers, .rate(limit), cost: cost, toolCosts: toolCosts, match: match,
            reject: reject, waitMicroseconds: waitMicroseconds)
    }

    package init(
        name: String, per subject: Subject, appliesTo callers: Callers? = nil, _ allowance: Allowance,
        mode: Mode = .enforce, cost: Int = 1, toolCosts: [String: Int] = [:], match: Match = Match(),
        reject: Reject = .auto, waitMicroseconds: Int = 0, chargeOn: StatusSet = .all, costField: String? = nil
    ) {
        self.name = name
        self.subject = subject
        self.callers = callers ?? subject.defaultCallers
        self.allowance = allowance
        self.mode = mode
        self.cost = cost
        self.toolCosts = toolCosts
        self.match = match
        self.reject = reject
        self.waitMicroseconds = waitMicroseconds
        self.chargeOn = chargeOn
        self.costField = costField
    }

    /// - Parameter name: of the tool called; nil for a request that is no call.
    package func cost(ofTool name: String?) -> Int {
        guard !toolCosts.isEmpty else { return cost }
        return name.flatMap { toolCosts[$0] } ?? 1
    }
}

extension Policy.Subject {
    /// In the organization's hash slot.
    package var isOfOrganization: Bool { self == .key || self == .org }

    var defaultCallers: Policy.Callers {
        switch self {
        case .address: .anonymous
        case .key, .org: .authenticated
        case .global: .all
        }
    }
}

extension Policy {
    /// What a file without `policies` gets: 15 calls in 10 s for a stranger's address, 20 in 10 s for an organization.
    package static func builtIn() -> [Policy] {
        [
            Policy(name: "address", per: .address, limit: Limit(count: 15, periodMicroseconds: 10_000_000)),
            Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 10_000_000)),
        ]
    }

    package static let handshakeName = "handshake"

    /// What `initialize` and `server/discover` of a caller with a key are charged to, and nothing else: who is over a limit
    /// still connects, and is told by the first call.
    package static func handshake(
        limit: Limit = Limit(count: 120, periodMicroseconds: 60_000_000), mode: Mode = .enforce, reject: Reject = .auto,
        waitMicroseconds: Int = 0
    ) -> Policy {
        Policy(
            name: handshakeName, per: .key, .rate(limit), mode: mode,
            match: Match(mcpMethods: [Glob("initialize"), Glob("server/discover")]), reject: reject,
            waitMicroseconds: waitMicroseconds)
    }

    package var isHandshake: Bool { name == Self.handshakeName }

    package static let openStreamsName = "open-streams"

    /// How many streams a key may have open at a time. It asks about what stays open for as long as the client likes, a GET
    /// for events and `subscriptions/listen`, and about nothing else.
    package static func openStreams(
        concurrency: Int = 100, mode: Mode = .enforce, reject: Reject = .auto, waitMicroseconds: Int = 0
    ) -> Policy {
        Policy(
            name: openStreamsName, per: .key, .concurrency(concurrency), mode: mode,
            match: Match(mcpMethods: [Glob("subscriptions/listen")]), reject: reject,
            waitMicroseconds: waitMicroseconds)
    }

    package var isOpenStreams: Bool { name == Self.openStreamsName }

    /// It is there wherever MCP is spoken, whatever a configuration says.
    package var isBuiltInForMessages: Bool { isHandshake || isOpenStreams }
}

extension Policy.Mode: CustomStringConvertible {
    /// Ten thousandths: a share is written in percent with at most two decimals.
    private static let whole = 10_000

    /// `enforce`, `shadow` or a percentage such as `25%` or `0.5%`.
    package init?(_ text: String) {
        switch text {
        case "enforce": self = .enforce
        case "shadow": self = .shadow
        default:
            guard let match = text.wholeMatch(of: /(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?%/), let percent = Int(match.1)
            else { return nil }
            let decimals = match.2.map { $0.count == 1 ? "\($0)0" : String($0) } ?? "0"
            let share = percent * 100 + (Int(decimals) ?? 0)
            guard share <= Self.whole else { return nil }
            self = .share(share)
        }
    }

    package var description: String {
        switch self {
        case .enforce: return "enforce"
        case .shadow: return "shadow"
        case .share(let share):
            let (percent, rest) = share.quotientAndRemainder(dividingBy: 100)
            if rest == 0 { return "\(percent)%" }
            return rest % 10 == 0 ? "\(percent).\(rest / 10)%" : "\(percent).\(rest < 10 ? "0" : "")\(rest)%"
        }
    }

    /// Whether this bucket's subject is among those the policy denies anything.
    ///
    /// By the first 64 bits of SHA-256 over `<policy>:<subject>`, so that a subject keeps its place among all, on every
    /// sidecar, and a larger share only adds some.
    package func enforces(_ policy: String, on subject: String) -> Bool {
        switch self {
        case .enforce: return true
        case .shadow: return false
        case .share(let share):
            let place = CredentialHash(of: Array("\(policy):\(subject)".utf8)).leadingBits
            // place / 2^64 < share / 10 000
            return place.multipliedFullWidth(by: UInt64(Self.whole)).high < UInt64(share)
        }
    }
}
