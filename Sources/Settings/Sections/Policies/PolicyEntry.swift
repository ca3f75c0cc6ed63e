// SPDX-License-Identifier: Apache-2.0

import Limits

/// An entry of `policies` with what the checks across entries need.
struct PolicyEntry: Sendable {
    let policy: Policy
    let mapping: Mapping

    /// - Parameters:
    ///   - reject: where the entry doesn't say.
    ///   - prefix: likewise, each of its lengths.
    func policy(rejecting reject: Policy.Reject, countingBy prefix: AddressPrefix) -> Policy {
        let policy = mapping.isGiven(Self.reject) ? policy : policy.rejecting(reject)
        let isIPv4Given = mapping.isGiven(Self.prefixIPv4)
        let isIPv6Given = mapping.isGiven(Self.prefixIPv6)
        return policy.counting(
            by: AddressPrefix(
                ipv4: isIPv4Given ? policy.addressPrefix.ipv4 : prefix.ipv4,
                ipv6: isIPv6Given ? policy.addressPrefix.ipv6 : prefix.ipv6))
    }
}

extension Policy {
    func rejecting(_ reject: Reject) -> Policy {
        var policy = self
        policy.reject = reject
        return policy
    }

    /// Of others than addresses it changes nothing.
    func counting(by prefix: AddressPrefix) -> Policy {
        guard subject == .address else { return self }
        var policy = self
        policy.addressPrefix = prefix
        return policy
    }
}

extension PolicyEntry {
    static let schema = Schema(
        [
            name.row, subject.row, callers.row, limit.row, burst.row, quota.row, concurrency.row, cost.row, mode.row,
            reject.row, wait.row, chargeOn.row, costField.row, onFailure.row, routes.row, methods.row, mcpMethods.row,
            tools.row, prompts.row, resources.row, prefixIPv4.row, prefixIPv6.row,
        ],
        synonyms: [
            "rate": "limit", "rate_limit": "limit", "requests": "limit", "calls": "limit", "by": "per", "key_by": "per",
            "subject": "per", "scope": "per", "concurrent": "concurrency", "max_concurrent": "concurrency",
            "parallel": "concurrency", "weight": "cost", "id": "name", "fail_open": "on_failure",
        ],
        remarks: [
            "mode is enforce, unless shadow is given, which denies nobody": [
                "dry_run", "dryrun", "enabled", "enforce", "shadow",
            ]
        ],
        rules: ["": rules])

    static let name = Setting("name", .policyName, "Its name in fields, logs and Redis keys.")
    static let subject = Setting(
        "per",
        .choice(
            ["address": Policy.Subject.address, "key": .key, "org": .org, "global": .global],
            hints: [
                "ip": "address", "ip_address": "address", "client": "address", "client_ip": "address",
                "host": "address", "remote_addr": "address", "user": "key", "token": "key", "api_key": "key",
                "apikey": "key", "consumer": "key", "credential": "key", "principal": "key", "organisation": "org",
                "organization": "org", "tenant": "org", "account": "org", "team": "org", "customer": "org",
                "company": "org", "all": "global", "everyone": "global", "everybody": "global", "service": "global",
                "server": "global", "total": "global", "any": "global", "*": "global",
            ]),
        "Whose calls share a bucket.")
    static let callers = Setting(
        "applies_to",
        .choice(
            ["anonymous": Policy.Callers.anonymous, "authenticated": .authenticated, "all": .all],
            hints: [
                "anon": "anonymous", "guest": "anonymous", "guests": "anonymous", "strangers": "anonymous",
                "public": "anonymous", "unauthenticated": "anonymous", "auth": "authenticated", "key": "authenticated",
                "keys": "authenticated", "user": "authenticated", "users": "authenticated", "everyone": "all",
                "everybody": "all", "both": "all", "any": "all", "*": "all",
            ]),
        "Whose calls are charged. Default: anonymous per address, authenticated per key and org, all for global.")
    static let limit = Setting(
        "limit", .limit,
        "A rate, <count>/[<n>](ms|s|m|h|d): 20/10s holds 20 and refills 2 a second. Or quota, or concurrency.")
    static let burst = Setting("burst", .integer(1...Limit.largestNumber), "Capacity. Default: the limit's count.")
    static let quota = Setting(
        "quota", .quota, "So many tokens a calendar window in UTC, <count>/(hour|day|week|month): 5000/month.")
    static let concurrency = Setting(
        "concurrency", .integer(0...1_000_000),
        "So many requests, streams and tunnels at a time, each of which takes one.")
    static let cost = Setting(
        "cost", .cost, default: "1", "Tokens a call takes; or by tool, {search: 5}, where other calls take 1.")
    static let mode = Setting(
        "mode", .mode, default: "enforce",
        "enforce, shadow (counts, denies nobody), or a share of its subjects, always the same, such as 25%.")
    static let reject = Setting(
        "reject", .reject, "How its denials reach MCP clients: auto, http, jsonrpc or tool_error. Default: mcp.reject.")
    static let wait = Setting(
        "wait", .duration(.zero...(.seconds(30))), default: "0s",
        "How long a request is held that has room within this time, before it is denied.")
    static let chargeOn = Setting(
        "charge_on", .statuses,
        "Answers that are paid for, such as [2xx, 404]; others are refunded: who can cause one works for free.")
    static let costField = Setting(
        "cost_header", .costField,
        "A field of the handler's answer, taken off it, that says what the request has cost; debt is possible.")
    static let onFailure = Setting(
        "on_failure", .onFailure,
        "Without Redis: as redis.on_failure, for what it counts. Where a route has one too, the more careful counts.")
    static let routes = Setting(
        "match.routes",
        .list("a list of paths of routes", of: .matchedRoute, emptyHint: "leave it out for all routes"),
        "Paths of routes, as routes lists them, that the policy is limited to.")
    static let methods = Setting(
        "match.methods", .list("a list of methods", of: .method, emptyHint: "leave it out for all methods"),
        "Methods that the policy is limited to; GET includes HEAD.")
    static let mcpMethods = Setting(
        "match.mcp_methods", .globs("tools/*"), "Methods of MCP messages that the policy is limited to; * and ? match.")
    static let tools = Setting("match.tools", .globs("db_*"), "Tools whose calls the policy is limited to.")
    static let prompts = Setting("match.prompts", .globs("review_*"), "Prompts that the policy is limited to.")
    static let resources = Setting(
        "match.resources", .globs("file:///*"), "URIs of resources that the policy is limited to.")
    static let prefixIPv4 = Setting(
        "address_prefix.ipv4", .prefixLength(of: .v4),
        "With per: address, leading bits of an IPv4 address that count as one caller. Default: address_prefix.ipv4.")
    static let prefixIPv6 = Setting(
        "address_prefix.ipv6", .prefixLength(of: .v6), "The same of an IPv6 address. Default: address_prefix.ipv6.")
    /// What it takes the body of a request to know.
    static let content = [mcpMethods, tools, prompts, resources]

    init?(_ mapping: Mapping, _ problems: inout ProblemList) {
        let name = mapping.required(Self.name, &problems)
        let entry =
            switch name {
            case Policy.handshakeName: Self.handshake(mapping, &problems)
            case Policy.openStreamsName: Self.openStreams(mapping, &problems)
            default: Self.own(name, mapping, &problems)
            }
        let onFailure = mapping.optional(Self.onFailure, &problems)
        guard let entry else { return nil }
        var policy = entry.policy
        policy.onFailure = onFailure
        self.init(policy: policy, mapping: mapping)
    }

    /// - Parameter name: nil where it was refused.
    private static func own(_ name: String?, _ mapping: Mapping, _ problems: inout ProblemList) -> PolicyEntry? {
        let subject = mapping.required(Self.subject, &problems)
        let callers = mapping.optional(Self.callers, &problems)
        let allowance = allowance(of: mapping, &problems)
        let cost = mapping.value(Self.cost, &problems)
        let mode = mapping.value(Self.mode, &problems)
        let reject = mapping.optional(Self.reject, &problems) ?? .auto
        let wait = mapping.value(Self.wait, &problems)
        let match = Policy.Match(
            routes: mapping.optional(Self.routes, &problems) ?? [],
            methods: mapping.optional(Self.methods, &problems) ?? [],
            mcpMethods: mapping.optional(Self.mcpMethods, &problems) ?? [],
            tools: mapping.optional(Self.tools, &problems) ?? [],
            prompts: mapping.optional(Self.prompts, &problems) ?? [],
            resources: mapping.optional(Self.resources, &problems) ?? [])
        let chargeOn = mapping.optional(Self.chargeOn, &problems) ?? .all
        let costField = mapping.optional(Self.costField, &problems)
        let prefix = addressPrefix(of: mapping, &problems)
        guard let name, let subject, let allowance else { return nil }
        if subject != .address {
            for key in [Self.prefixIPv4.path, Self.prefixIPv6.path] where mapping.isGiven(key) {
                mapping.refuse(
                    key, expected: "no such key with per: \(subject.rawValue), which counts no addresses", &problems)
            }
        }
        if let callers { refuseImpossible(callers, per: subject, mapping, &problems) }
        refuseImpossible(cost, of: allowance, mapping, &problems)
        return PolicyEntry(
            policy: Policy(
                name: name, per: subject, appliesTo: callers, allowance, mode: mode, cost: cost.fixed,
                toolCosts: cost.byTool, match: match, reject: reject, waitMicroseconds: wait.microseconds,
                chargeOn: chargeOn, costField: costField
            ).counting(by: prefix),
            mapping: mapping)
    }

    /// What isn't given is filled in when the whole configuration is known.
    private static func addressPrefix(of mapping: Mapping, _ problems: inout ProblemList) -> AddressPrefix {
        var prefix = AddressPrefix()
        if let length = mapping.optional(Self.prefixIPv4, &problems) { prefix.ipv4 = length }
        if let length = mapping.optional(Self.prefixIPv6, &problems) { prefix.ipv6 = length }
        return prefix
    }

    /// What the policy gives: one of the three kinds.
    private static func allowance(of mapping: Mapping, _ problems: inout ProblemList) -> Allowance? {
        let kinds = [Self.limit.path, Self.quota.path, Self.concurrency.path]
        let given = kinds.filter(mapping.isGiven)
        guard given.count < 2 else {
            mapping.refuse(
                given[1], expected: "one of limit, quota and concurrency", got: "\(given[0]) as well", &problems)
            return nil
        }
        if given != [Self.limit.path], !given.isEmpty, mapping.isGiven(Self.burst) {
            mapping.refuse(Self.burst, expected: "no burst with \(given[0])", &problems)
        }
        switch given.first {
        case Self.quota.path: return mapping.optional(Self.quota, &problems).map(Allowance.quota)
        case Self.concurrency.path:
            for key in [Self.cost.path, Self.chargeOn.path, Self.costField.path] where mapping.isGiven(key) {
                mapping.refuse(
                    key, expected: "no such key with concurrency, of which every request takes one", &problems)
            }
            return mapping.optional(Self.concurrency, &problems).map(Allowance.concurrency)
        default:
            let text = mapping.required(Self.limit, or: "quota or concurrency", &problems)
            return rate(text, of: mapping, &problems).map(Allowance.rate)
        }
    }

    private static func refuseImpossible(
        _ cost: PolicyCost, of allowance: Allowance, _ mapping: Mapping, _ problems: inout ProblemList
    ) {
        let what: String
        switch allowance {
        case .rate: what = "burst"
        case .quota: what = "quota"
        case .concurrency: return
        }
        guard allowance.capacity > 0, cost.highest > allowance.capacity else { return }
        mapping.refuse(
            Self.cost, expected: "a cost of at most the \(what), which is \(allowance.capacity)",
            got: "\(cost.highest), which no wait would help", &problems)
    }

    /// A limit with its burst, which is written behind it or as a key of its own.
    ///
    /// - Parameter text: nil where it was refused.
    static func rate(_ text: LimitText?, of mapping: Mapping, _ problems: inout ProblemList) -> Limit? {
        let burst = mapping.optional(Self.burst, &problems)
        guard let text else { return nil }
        let isBurstWrong = burst == nil && mapping.isGiven(Self.burst)
        guard !isBurstWrong else { return nil }
        if burst != nil, text.hasBurst {
            mapping.refuse(
                Self.burst, expected: "one burst", got: "another one behind the limit, '\(text.text)'", &problems)
            return nil
        }
        do throws(LimitError) {
            return try Limit(parsing: burst.map { "\(text.text):\($0)" } ?? text.text)
        } catch {
            let mismatch = Mismatch(error)
            let expected = mismatch.expected ?? Self.limit.form.expectation
            if burst != nil {
                mapping.refuse(Self.burst, expected: expected, hint: mismatch.hint, &problems)
            } else {
                mapping.refuse(Self.limit, expected: expected, hint: mismatch.hint, &problems)
            }
            return nil
        }
    }

    /// A call without a key has neither key nor organization to count for.
    private static func refuseImpossible(
        _ callers: Policy.Callers, per subject: Policy.Subject, _ mapping: Mapping, _ problems: inout ProblemList
    ) {
        guard subject == .key || subject == .org, callers != .authenticated else { return }
        mapping.refuse(Self.callers, expected: "authenticated with per: \(subject.rawValue)", &problems)
    }
}
