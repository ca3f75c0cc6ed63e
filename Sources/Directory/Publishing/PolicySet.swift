// SPDX-License-Identifier: Apache-2.0

package import Limits

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The policies and key terms that a sidecar goes by, as it publishes them for the CLI:
/// `<namespace>:1:{:m}:policies:<hash>`.
///
/// JSON: `{"keys":{"prefix","accept","headers","max_active_per_org"},"policies":[{"name","per","applies_to","limit","cost",
/// "match":{"routes","methods"}}…]}`, in list order, "limit"
/// being an allowance of any kind, and where they are given "mode", "tool_costs", "reject", "wait" (µs), "charge_on", "cost_header",
/// "address_prefix":{"ipv4","ipv6"} and in "match" "mcp_methods", "tools", "prompts", "resources". Members
/// this version doesn't know are passed over, and a policy of a kind it doesn't know is kept by name alone, since sidecars
/// of another version may share the database.
package struct PolicySet: Sendable, Equatable {
    package let policies: [Policy]
    /// Nil where an older version, which publishes none, has made it.
    package let keys: KeyTerms?
    /// Names of policies of a kind that a newer version made.
    package let unknown: [String]
    /// 32 hexadecimal digits: the first half of SHA-256 over the JSON text.
    package let hash: String

    /// As it is published: the same policies and terms always give the same text.
    package static func published(_ policies: [Policy], keys: KeyTerms? = nil) -> (set: PolicySet, text: String) {
        let text = PublishedText.encoded(
            Document(keys: keys, policies: policies.map(Document.Entry.init)), otherwise: #"{"policies":[]}"#)
        let hash = PublishedText.hash(of: text)
        return (PolicySet(policies: policies, keys: keys, unknown: [], hash: hash), text)
    }

    /// - Returns: nil where the text is no policy set.
    package init?(parsing text: String, hash: String) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(text.utf8)) else { return nil }
        let read = document.policies.map { (name: $0.name, policy: $0.policy) }
        self.init(
            policies: read.compactMap(\.policy), keys: document.keys,
            unknown: read.filter { $0.policy == nil }.map(\.name), hash: hash)
    }

    private init(policies: [Policy], keys: KeyTerms?, unknown: [String], hash: String) {
        self.policies = policies
        self.keys = keys
        self.unknown = unknown
        self.hash = hash
    }
}

private struct Document: Codable {
    struct Entry: Codable {
        struct Match: Codable {
            var routes: [String]
            var methods: [String]
            var mcp_methods: [String]?
            var tools: [String]?
            var prompts: [String]?
            var resources: [String]?
        }

        struct Prefix: Codable {
            var ipv4: Int
            var ipv6: Int
        }

        var name: String
        var per: String
        var applies_to: String?
        /// An allowance of any kind.
        var limit: String?
        var mode: String?
        var cost: Int?
        var tool_costs: [String: Int]?
        var match: Match?
        var reject: String?
        var wait: Int?
        var charge_on: [String]?
        var cost_header: String?
        var address_prefix: Prefix?
    }

    var keys: KeyTerms?
    var policies: [Entry]
}

extension Document {
    init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        policies = try members.decode([Entry].self, forKey: .policies)
        // Terms of another version are no reason to pass over its policies.
        keys = try? members.decode(KeyTerms.self, forKey: .keys)
    }
}

extension Document.Entry {
    init(_ policy: Policy) {
        name = policy.name
        per = policy.subject.rawValue
        applies_to = policy.callers.rawValue
        limit = policy.allowance.description
        mode = policy.mode == .enforce ? nil : policy.mode.description
        cost = policy.cost
        tool_costs = policy.toolCosts.isEmpty ? nil : policy.toolCosts
        match = Match(policy.match)
        reject = policy.reject == .auto ? nil : policy.reject.rawValue
        wait = policy.waitMicroseconds == 0 ? nil : policy.waitMicroseconds
        charge_on = policy.chargeOn.isAll ? nil : policy.chargeOn.texts
        cost_header = policy.costField
        let prefix = policy.addressPrefix
        address_prefix = prefix == AddressPrefix() ? nil : Prefix(ipv4: prefix.ipv4, ipv6: prefix.ipv6)
    }

    /// Nil where this version can't count it.
    package var policy: Policy? {
        guard Policy.isName(name), let subject = Policy.Subject(rawValue: per), let limit,
            let allowance = try? Allowance(parsing: limit), let mode = Policy.Mode(mode ?? "enforce"),
            let chargeOn = charge_on.map(StatusSet.init) ?? .all,
            let addressPrefix = AddressPrefix(address_prefix)
        else { return nil }
        var policy = Policy(
            name: name, per: subject, appliesTo: applies_to.flatMap(Policy.Callers.init), allowance,
            mode: mode, cost: cost ?? 1, toolCosts: tool_costs ?? [:], match: match?.match ?? Policy.Match(),
            reject: reject.flatMap(Policy.Reject.init) ?? .auto, waitMicroseconds: wait ?? 0, chargeOn: chargeOn,
            costField: cost_header)
        policy.addressPrefix = addressPrefix
        return policy
    }
}

extension AddressPrefix {
    /// Nil where there are no such lengths.
    fileprivate init?(_ prefix: Document.Entry.Prefix?) {
        self.init()
        guard let prefix else { return }
        guard Self.lengths(of: .v4) ~= prefix.ipv4, Self.lengths(of: .v6) ~= prefix.ipv6 else { return nil }
        self.init(ipv4: prefix.ipv4, ipv6: prefix.ipv6)
    }
}

extension Document.Entry.Match {
    init(_ match: Policy.Match) {
        func texts(_ globs: [Glob]) -> [String]? { globs.isEmpty ? nil : globs.map(\.text) }
        self.init(
            routes: match.routes, methods: match.methods, mcp_methods: texts(match.mcpMethods),
            tools: texts(match.tools), prompts: texts(match.prompts), resources: texts(match.resources))
    }

    package var match: Policy.Match {
        func globs(_ texts: [String]?) -> [Glob] { (texts ?? []).map { Glob($0) } }
        return Policy.Match(
            routes: routes, methods: methods, mcpMethods: globs(mcp_methods), tools: globs(tools),
            prompts: globs(prompts), resources: globs(resources))
    }
}
