// SPDX-License-Identifier: Apache-2.0

import Limits

extension Form {
    /// A list of mappings with the keys of one table.
    fileprivate static func entries<Item: Sendable>(
        _ expectation: String, isEmptyAllowed: Bool, emptyHint: String? = nil, _ table: Table,
        _ read: @escaping @Sendable (Section, inout ProblemList) -> Item?
    ) -> Form<[Item]> where Value == [Item] {
        Form<[Item]>(expectation: expectation) { element, path, problems in
            guard let elements = element.entries(of: expectation, path, isEmptyAllowed, emptyHint, &problems) else {
                return nil
            }
            var items: [Item] = []
            for (index, entry) in elements.enumerated() {
                guard let section = Section(entry, "\(path)[\(index)]", table, &problems) else { continue }
                if let item = read(section, &problems) { items.append(item) }
            }
            return items.count == elements.count ? items : nil
        }
    }
}

/// An entry of `routes` with what the checks across entries need.
struct RouteEntry: Sendable {
    let route: Settings.Route
    let path: RoutePath
    let section: Section
}

extension Form where Value == [RouteEntry] {
    static let routes = entries(
        "a list of routes", isEmptyAllowed: false, emptyHint: "leave it out to let every path be known", Schema.route
    ) { section, problems in
        let path = section.required(Schema.routePath, &problems)
        let methods = section.optional(Schema.routeMethods, &problems)
        let isMCP = section.value(Schema.routeIsMCP, &problems)
        let isPublic = section.value(Schema.routeIsPublic, &problems)
        let isThrottled = section.value(Schema.routeIsThrottled, &problems)
        let scopes = section.optional(Schema.routeScopes, &problems) ?? []
        let toolScopes = section.optional(Schema.routeToolScopes, &problems) ?? []
        let responseTimeout = section.optional(Schema.routeResponseTimeout, &problems)
        let host = section.optional(Schema.routeHost, &problems)
        guard let path else { return nil }
        refuseUnaskedScopes(isPublic: isPublic, isMCP: isMCP, section, &problems)
        if isMCP { refuseWhatMCPDecides(path, methods, section, &problems) }
        let route = Settings.Route(
            path: path.text, methods: isMCP ? ["DELETE", "GET", "POST"] : methods ?? [], isPublic: isPublic,
            isThrottled: isThrottled, isMCP: isMCP, scopes: scopes, toolScopes: toolScopes,
            responseTimeout: responseTimeout, host: host)
        return RouteEntry(route: route, path: path, section: section)
    }

    private static func refuseUnaskedScopes(
        isPublic: Bool, isMCP: Bool, _ section: Section, _ problems: inout ProblemList
    ) {
        for key in [Schema.routeScopes.path, Schema.routeToolScopes.path] where section.isGiven(key) && isPublic {
            section.refuse(key, expected: "no scopes with public: true, which asks for no key", &problems)
        }
        if section.isGiven(Schema.routeToolScopes.path), !isMCP {
            section.refuse(
                Schema.routeToolScopes, expected: "mcp: true beside it",
                hint: "only there it is read which tool is called",
                &problems)
        }
    }

    private static func refuseWhatMCPDecides(
        _ path: RoutePath, _ methods: [String]?, _ section: Section, _ problems: inout ProblemList
    ) {
        if methods != nil {
            section.refuse(
                Schema.routeMethods, expected: "no methods with mcp: true, which serves POST, GET and DELETE",
                &problems)
        }
        if path.hasRest || (path.text.hasSuffix("/") && path.text != "/") {
            section.refuse(
                Schema.routePath, expected: "a path without {rest*} and final / with mcp: true, which serves all below",
                &problems)
        }
    }
}

extension [RouteEntry] {
    /// Reports entries that could never serve anything: each method of theirs is an earlier entry's of the same pattern.
    func refuseDuplicates(_ problems: inout ProblemList) {
        for (index, entry) in enumerated() {
            let first = self[..<index].firstIndex {
                $0.path.shape == entry.path.shape && $0.route.overlaps(entry.route)
            }
            guard let first else { continue }
            entry.section.refuse(
                Schema.routePath, expected: "each method of a path once",
                got: "'\(entry.path.text.shown)' again, which routes[\(first)] serves", &problems)
        }
    }
}

extension Settings.Route {
    fileprivate func overlaps(_ other: Settings.Route) -> Bool {
        methods.isEmpty || other.methods.isEmpty || !served.isDisjoint(with: other.served)
    }

    /// GET includes HEAD.
    private var served: Set<String> { Set(methods + (methods.contains("GET") ? ["HEAD"] : [])) }
}

extension Form where Value == [PolicyEntry] {
    static let policies = entries("a list of policies", isEmptyAllowed: true, Schema.policy) { section, problems in
        let name = section.required(Schema.policyName, &problems)
        if name == Policy.handshakeName { return handshake(section, &problems) }
        if name == Policy.openStreamsName { return openStreams(section, &problems) }
        let subject = section.required(Schema.policySubject, &problems)
        let callers = section.optional(Schema.policyCallers, &problems)
        let allowance = allowance(of: section, &problems)
        let cost = section.value(Schema.policyCost, &problems)
        let mode = section.value(Schema.policyMode, &problems)
        let reject = section.optional(Schema.policyReject, &problems) ?? .auto
        let wait = section.value(Schema.policyWait, &problems)
        let match = Policy.Match(
            routes: section.optional(Schema.policyRoutes, &problems) ?? [],
            methods: section.optional(Schema.policyMethods, &problems) ?? [],
            mcpMethods: section.optional(Schema.policyMCPMethods, &problems) ?? [],
            tools: section.optional(Schema.policyTools, &problems) ?? [],
            prompts: section.optional(Schema.policyPrompts, &problems) ?? [],
            resources: section.optional(Schema.policyResources, &problems) ?? [])
        let chargeOn = section.optional(Schema.policyChargeOn, &problems) ?? .all
        let costField = section.optional(Schema.policyCostField, &problems)
        let prefix = addressPrefix(of: section, &problems)
        guard let name, let subject, let allowance else { return nil }
        if subject != .address {
            for key in [Schema.policyPrefixIPv4.path, Schema.policyPrefixIPv6.path] where section.isGiven(key) {
                section.refuse(
                    key, expected: "no such key with per: \(subject.rawValue), which counts no addresses", &problems)
            }
        }
        if let callers { refuseImpossible(callers, per: subject, section, &problems) }
        refuseImpossible(cost, of: allowance, section, &problems)
        return PolicyEntry(
            policy: Policy(
                name: name, per: subject, appliesTo: callers, allowance, mode: mode, cost: cost.fixed,
                toolCosts: cost.byTool, match: match, reject: reject, waitMicroseconds: wait.microseconds,
                chargeOn: chargeOn, costField: costField
            ).counting(by: prefix),
            section: section)
    }

    /// What isn't given is filled in when the whole configuration is known.
    private static func addressPrefix(of section: Section, _ problems: inout ProblemList) -> AddressPrefix {
        var prefix = AddressPrefix()
        if let length = section.optional(Schema.policyPrefixIPv4, &problems) { prefix.ipv4 = length }
        if let length = section.optional(Schema.policyPrefixIPv6, &problems) { prefix.ipv6 = length }
        return prefix
    }

    /// What the policy gives: one of the three kinds.
    private static func allowance(of section: Section, _ problems: inout ProblemList) -> Allowance? {
        let kinds = [Schema.policyLimit.path, Schema.policyQuota.path, Schema.policyConcurrency.path]
        let given = kinds.filter(section.isGiven)
        guard given.count < 2 else {
            section.refuse(
                given[1], expected: "one of limit, quota and concurrency", got: "\(given[0]) as well", &problems)
            return nil
        }
        if given != [Schema.policyLimit.path], !given.isEmpty, section.isGiven(Schema.policyBurst.path) {
            section.refuse(Schema.policyBurst, expected: "no burst with \(given[0])", &problems)
        }
        switch given.first {
        case Schema.policyQuota.path: return section.optional(Schema.policyQuota, &problems).map(Allowance.quota)
        case Schema.policyConcurrency.path:
            for key in [Schema.policyCost.path, Schema.policyChargeOn.path, Schema.policyCostField.path]
            where section.isGiven(key) {
                section.refuse(
                    key, expected: "no such key with concurrency, of which every request takes one", &problems)
            }
            return section.optional(Schema.policyConcurrency, &problems).map(Allowance.concurrency)
        default:
            let text = section.required(Schema.policyLimit, or: "quota or concurrency", &problems)
            return limit(text, of: section, &problems).map(Allowance.rate)
        }
    }

    private static func refuseImpossible(
        _ cost: PolicyCost, of allowance: Allowance, _ section: Section, _ problems: inout ProblemList
    ) {
        let what: String
        switch allowance {
        case .rate: what = "burst"
        case .quota: what = "quota"
        case .concurrency: return
        }
        guard allowance.capacity > 0, cost.highest > allowance.capacity else { return }
        section.refuse(
            Schema.policyCost, expected: "a cost of at most the \(what), which is \(allowance.capacity)",
            got: "\(cost.highest), which no wait would help", &problems)
    }

    /// A limit with its burst, which is written behind it or as a key of its own.
    ///
    /// - Parameter text: nil where it was refused.
    static func limit(_ text: LimitText?, of section: Section, _ problems: inout ProblemList) -> Limit? {
        let burst = section.optional(Schema.policyBurst, &problems)
        guard let text else { return nil }
        let isBurstWrong = burst == nil && section.isGiven(Schema.policyBurst.path)
        guard !isBurstWrong else { return nil }
        if burst != nil, text.hasBurst {
            section.refuse(
                Schema.policyBurst, expected: "one burst", got: "another one behind the limit, '\(text.text)'",
                &problems)
            return nil
        }
        do throws(LimitError) {
            return try Limit(parsing: burst.map { "\(text.text):\($0)" } ?? text.text)
        } catch {
            let mismatch = Mismatch(error)
            let expected = mismatch.expected ?? Schema.policyLimit.form.expectation
            if burst != nil {
                section.refuse(Schema.policyBurst, expected: expected, hint: mismatch.hint, &problems)
            } else {
                section.refuse(Schema.policyLimit, expected: expected, hint: mismatch.hint, &problems)
            }
            return nil
        }
    }

    /// A call without a key has neither key nor organization to count for.
    private static func refuseImpossible(
        _ callers: Policy.Callers, per subject: Policy.Subject, _ section: Section, _ problems: inout ProblemList
    ) {
        guard subject == .key || subject == .org, callers != .authenticated else { return }
        section.refuse(Schema.policyCallers, expected: "authenticated with per: \(subject.rawValue)", &problems)
    }
}
