// SPDX-License-Identifier: Apache-2.0

import Limits

// Policies and routes that no request ever meets.

extension Settings {
    /// Routes whose requests an earlier one takes, or that Tollgate answers itself.
    func warnOfShadowed(_ routes: [RouteEntry], _ problems: inout ProblemList) {
        for (index, entry) in routes.enumerated() where !entry.route.methods.isEmpty && !entry.route.isMCP {
            let methods = Set(entry.route.methods)
            // An mcp route serves everything below its path, and of two equal patterns the first.
            let outer = routes[..<index].firstIndex { other in
                let below = other.path.shape == "/" ? "/{*}" : "\(other.path.shape)/{*}"
                return other.route.isMCP && entry.path.shape == below && methods.isSubset(of: Self.methodsOfMCP)
            }
            if let outer {
                entry.mapping.warn(
                    RouteEntry.path,
                    "routes[\(outer)] is mcp and serves all below \(routes[outer].route.path), so this route never "
                        + "matches: leave it out, or list it first", &problems)
            } else if methods.isSubset(of: ["GET", "HEAD"]), metadataPaths.contains(entry.route.path) {
                entry.mapping.warn(
                    RouteEntry.path,
                    "mcp.resource_metadata is served here, so this route never matches: leave one of them out",
                    &problems)
            }
        }
    }

    private static let methodsOfMCP: Set = ["DELETE", "GET", "HEAD", "POST"]

    /// Where the document is served (RFC 9728 §3.1): with the resource's own path behind, and without.
    private var metadataPaths: [String] {
        guard let resource = mcp.resourceMetadata?.resource else { return [] }
        let wellKnown = "/.well-known/oauth-protected-resource"
        let rest = resource.firstRange(of: "://").map { resource[$0.upperBound...] } ?? resource[...]
        let path = rest.drop { $0 != "/" }
        return [wellKnown, path == "/" ? wellKnown : wellKnown + path]
    }

    /// A policy that counts nothing.
    func warnOfUnmet(_ entry: PolicyEntry, _ problems: inout ProblemList) {
        let policy = entry.policy
        guard !routes.isEmpty, knowsAllRoutes(of: policy), !mayCountRefusals(policy), !mayCountPreflights(policy)
        else { return }
        let met = routes.filter { policy.mayCount($0) }
        let reach = policy.match.routes.isEmpty ? "no route" : "no route of match.routes"
        if met.isEmpty {
            let methods = policy.match.methods.joined(separator: ", ")
            entry.mapping.warn(
                PolicyEntry.methods,
                "\(reach) serves \(methods), so the policy counts nothing: name methods that a route serves", &problems)
            return
        }
        let key = policy.match.routes.isEmpty ? PolicyEntry.name.path : PolicyEntry.routes.path
        let throttled = met.filter(\.isThrottled)
        if throttled.isEmpty {
            entry.mapping.warn(
                key,
                "every route that it matches has throttle: false, so the policy counts nothing: take that away, or it",
                &problems)
        } else if policy.callers == .authenticated, throttled.allSatisfy(\.isPublic) {
            let isOfKeys = policy.subject == .key || policy.subject == .org
            entry.mapping.warn(
                key,
                "every route that it matches is public and asks for no key, so the policy counts nothing: "
                    + (isOfKeys ? "count per address or global" : "take applies_to away") + ", or ask for keys",
                &problems)
        }
    }

    /// A document adds routes; to one that is listed it adds nothing.
    private func knowsAllRoutes(of policy: Policy) -> Bool {
        guard discovery != nil else { return true }
        let listed = Set(routes.map(\.path))
        return !policy.match.routes.isEmpty && policy.match.routes.allSatisfy(listed.contains)
    }

    /// What is refused before a credential is looked at is charged to its address, where it takes no route, or one whose
    /// methods or messages it doesn't meet; with `throttle: false` too.
    private func mayCountRefusals(_ policy: Policy) -> Bool {
        guard policy.subject == .address, policy.callers != .authenticated, !policy.match.readsContent else {
            return false
        }
        guard !policy.match.routes.isEmpty else { return true }
        return routes.contains { route in
            policy.match.routes.contains(route.path) && (route.isMCP || !route.methods.isEmpty)
        }
    }

    /// Forwarded ones cost the handler as much as other requests, and are no route's.
    private func mayCountPreflights(_ policy: Policy) -> Bool {
        policy.subject == .global && policy.match.methods.contains("OPTIONS") && cors == nil && forwardsPreflights
    }
}

extension Policy {
    /// Whether a route has a method that the policy matches.
    fileprivate func mayCount(_ route: Settings.Route) -> Bool {
        guard !match.readsContent || route.isMCP else { return false }
        let served = route.methods + (route.methods.contains("GET") ? ["HEAD"] : [])
        // Any, where the route takes all of them.
        let methods = served.isEmpty ? (match.methods.isEmpty ? [""] : match.methods) : served
        return methods.contains { match.covers(routes: [route.path], method: $0) }
    }
}
