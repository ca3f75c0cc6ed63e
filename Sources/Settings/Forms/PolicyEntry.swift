// SPDX-License-Identifier: Apache-2.0

import Limits

/// An entry of `policies` with what the checks across entries need.
struct PolicyEntry: Sendable {
    let policy: Policy
    let section: Section

    /// - Parameters:
    ///   - reject: where the entry doesn't say.
    ///   - prefix: likewise, each of its lengths.
    func policy(rejecting reject: Policy.Reject, countingBy prefix: AddressPrefix) -> Policy {
        let policy = section.isGiven(Schema.policyReject.path) ? policy : policy.rejecting(reject)
        let isIPv4Given = section.isGiven(Schema.policyPrefixIPv4.path)
        let isIPv6Given = section.isGiven(Schema.policyPrefixIPv6.path)
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
    /// What messages say is read on `mcp` routes alone, and only a POST has one.
    fileprivate func refuseWhatNoMessageMeets(_ routes: [RouteEntry], _ problems: inout ProblemList) {
        guard !policy.isBuiltInForMessages else {
            guard !routes.contains(where: \.route.isMCP) else { return }
            return section.refuse(
                Schema.policyName, expected: "a route with mcp: true for the built-in policy \(policy.name)",
                got: "none", &problems)
        }
        guard policy.match.readsContent || !policy.toolCosts.isEmpty else { return }
        if !policy.match.methods.isEmpty, !policy.match.methods.contains("POST") {
            section.refuse(Schema.policyMethods, expected: "POST, by which MCP messages come", &problems)
        }
        let isMet = routes.contains { entry in
            entry.route.isMCP && (policy.match.routes.isEmpty || policy.match.routes.contains(entry.route.path))
        }
        guard !isMet else { return }
        let expected = "a route with mcp: true that the policy matches"
        let hint = "only there is it read what a request asks for"
        if let key = Schema.policyContent.first(where: { section.isGiven($0.path) }) {
            section.refuse(key, expected: expected, got: "none", hint: hint, &problems)
        } else {
            section.refuse(Schema.policyCost, expected: expected, got: "none", hint: hint, &problems)
        }
    }
}

extension [PolicyEntry] {
    /// Reports names used twice, and routes that `routes` doesn't list.
    ///
    /// - Parameter routes: nil where they aren't known because something is wrong with them.
    func refuseConflicts(routes: [RouteEntry]?, _ problems: inout ProblemList) {
        var seen: [String: Int] = [:]
        let paths = routes?.map(\.route.path)
        for (index, entry) in enumerated() {
            let name = entry.policy.name
            if let first = seen.updateValue(index, forKey: name) {
                entry.section.refuse(
                    Schema.policyName, expected: "each name once", got: "'\(name)' again, which is entry \(first)",
                    &problems)
            }
            guard let paths, let routes else { continue }
            entry.refuseWhatNoMessageMeets(routes, &problems)
            for path in entry.policy.match.routes where !paths.contains(path) {
                let guess = Spelling.nearest(to: path, among: paths).map { "did you mean \($0)?" }
                entry.section.refuse(
                    Schema.policyRoutes, expected: "the path of a route as routes lists it", got: "'\(path.shown)'",
                    hint: guess ?? (paths.isEmpty ? "no routes are listed" : nil), &problems)
            }
        }
    }
}
