// SPDX-License-Identifier: Apache-2.0

import Limits

extension Settings {
    /// What no policy counts, a line each. A list of policies replaces the built-in ones, and with them what they counted.
    var uncounted: [String] {
        var lines: [String] = []
        // Policies per address alone are charged with what is refused before a key is known (docs/design.md, "Who pays").
        if !policies.contains(where: { $0.subject == .address && $0.callers != .authenticated && $0.match == .init() })
        {
            lines.append("wrong keys and unknown paths")
        }
        let limited = (routes.isEmpty || discovery != nil ? routes + [.any] : routes).filter(\.isThrottled)
        lines += uncounted("calls with a key", of: limited.filter { !$0.isPublic }) { $0.callers != .anonymous }
        lines += uncounted("calls without a key", of: limited.filter { $0.isPublic || keys.allowsAnonymous }) {
            ($0.subject == .address || $0.subject == .global) && $0.callers != .authenticated
        }
        return lines
            + routes.filter { !$0.isThrottled }.map { "\($0.methodsInWords) of \($0.path), by throttle: false" }
    }

    /// - Parameter isAsked: whether the policy counts such callers.
    private func uncounted(_ calls: String, of routes: [Route], where isAsked: (Policy) -> Bool) -> [String] {
        let asked = policies.filter { isAsked($0) && !$0.isBuiltInForMessages }
        let gaps = routes.compactMap { route in Gap(in: asked, on: route) }
        // One line says it where it is the same everywhere.
        if let first = gaps.first, gaps.count == routes.count,
            gaps.allSatisfy({ $0.methods == nil && $0.exceptions == first.exceptions })
        {
            return [calls + first.remark]
        }
        return gaps.map { "\(calls): \($0.methods.map { "\($0) of " } ?? "")\($0.path)\($0.remark)" }
    }
}

/// What is counted by nobody of a route's calls.
private struct Gap {
    let path: String
    /// Nil: all that the route takes.
    let methods: String?
    /// Policies that count what some messages ask for.
    let exceptions: [String]

    /// Nil where all is counted.
    init?(in policies: [Policy], on route: Settings.Route) {
        // A method that no policy names stands for all others.
        let named = policies.flatMap(\.match.methods)
        let methods = route.methods.isEmpty ? Set(named).sorted() + [""] : route.methods
        let missed = methods.filter { method in
            !policies.contains { !$0.match.readsContent && $0.match.covers(routes: [route.path], method: method) }
        }
        guard !missed.isEmpty else { return nil }
        path = route.path
        self.methods =
            missed.count == methods.count
            ? nil : missed.map { $0.isEmpty ? "other methods" : $0 }.joined(separator: ", ")
        exceptions =
            route.isMCP
            ? policies.filter { $0.match.readsContent && $0.match.covers(routes: [route.path], method: "POST") }
                .map(\.name) : []
    }

    var remark: String {
        exceptions.isEmpty ? "" : ", but for what is matched by \(exceptions.joined(separator: ", "))"
    }
}

extension Settings.Route {
    /// Stands for what there is without `routes`.
    fileprivate static let any = Settings.Route(path: "every path")
}
