// SPDX-License-Identifier: Apache-2.0

package import Limits

extension Settings {
    package struct Route: Sendable, Equatable {
        /// As listed: `/api/{id}`, `/files/{rest*}`.
        package var path: String
        /// Upper case; empty = all. For an `mcp` route: DELETE, GET and POST.
        package var methods: [String]
        package var isPublic: Bool
        package var isThrottled: Bool
        package var isMCP: Bool
        /// What a key must be good for, all of it.
        package var scopes: [String]
        /// What it must be good for besides, to call tools of these names; all that match count.
        package var toolScopes: [ToolScopes]
        /// Nil: as ``Upstream/responseTimeout`` has it. Else of all requests, those for streams too.
        package var responseTimeout: Timeout?
        /// Nil: as ``Upstream/forwardedHost`` has it.
        package var host: Upstream.Host?
        /// What becomes of its requests without Redis; nil: as ``Redis/onFailure`` has it, or a policy.
        package var onFailure: OnFailure?

        package init(
            path: String, methods: [String] = [], isPublic: Bool = false, isThrottled: Bool = true, isMCP: Bool = false,
            scopes: [String] = [], toolScopes: [ToolScopes] = [], responseTimeout: Timeout? = nil,
            host: Upstream.Host? = nil, onFailure: OnFailure? = nil
        ) {
            self.path = path
            self.methods = methods
            self.isPublic = isPublic
            self.isThrottled = isThrottled
            self.isMCP = isMCP
            self.scopes = scopes
            self.toolScopes = toolScopes
            self.responseTimeout = responseTimeout
            self.host = host
            self.onFailure = onFailure
        }
    }

    /// What a key must be good for to call some tools.
    package struct ToolScopes: Sendable, Hashable {
        package var tools: Glob
        package var scopes: [String]
    }
}

/// An entry of `routes` with what the checks across entries need.
struct RouteEntry: Sendable {
    let route: Settings.Route
    let path: RoutePath
    let mapping: Mapping
}

extension RouteEntry {
    static let schema = Schema(
        [
            path.row, methods.row, isPublic.row, isThrottled.row, isMCP.row, scopes.row, toolScopes.row,
            responseTimeout.row, host.row, onFailure.row, OpenAPIEntry.document.row,
            OpenAPIEntry.rest.row, OpenAPIEntry.hosts.row,
        ],
        synonyms: [
            "anonymous": "public", "url": "path", "pattern": "path", "prefix": "path", "fail_open": "on_failure",
        ],
        // Under the name of a key nearby, a value would open what it was to close.
        remarks: [
            "a key is asked for unless public is true": [
                "auth", "authenticate", "authenticated", "authentication", "private", "protected", "require_auth",
                "secure",
            ],
            "policies limit calls; throttle: false exempts a route": ["limit", "quota", "rate", "rate_limit"],
        ],
        rules: ["": rules])

    private static let rules: JSONValue = [
        "allOf": [
            [
                "if": ["required": ["openapi"]],
                "then": ["propertyNames": ["enum": ["openapi", "rest", "hosts"]]],
                "else": ["required": ["path"], "properties": ["rest": false, "hosts": false]],
            ],
            [
                "if": ["properties": ["mcp": ["const": true]], "required": ["mcp"]],
                "then": ["properties": ["methods": false, "path": ["pattern": #"^/$|[^/}]$|[^*]\}$"#]]],
            ],
            [
                "if": ["properties": ["public": ["const": true]], "required": ["public"]],
                "then": ["properties": ["scopes": false, "tool_scopes": false]],
            ],
            ["if": ["required": ["on_failure"]], "then": ["properties": ["throttle": ["not": ["const": false]]]]],
            // Written as on or yes it may be true too.
            [
                "if": ["required": ["tool_scopes"]],
                "then": ["properties": ["mcp": ["not": ["const": false]]], "required": ["mcp"]],
            ],
        ]
    ]

    static let path = Setting("path", .routePath, "Exact path; {name} takes one segment, {rest*} what is left.")
    static let methods = Setting(
        "methods", .list("a list of methods", of: .method, emptyHint: "leave it out for all methods"),
        "Methods the route serves; GET serves HEAD. Default: all.")
    static let isPublic = Setting("public", .boolean, default: "false", "No key is asked for.")
    static let isThrottled = Setting("throttle", .boolean, default: "true", "Whether limits are charged and enforced.")
    static let isMCP = Setting(
        "mcp", .boolean, default: "false",
        "An MCP endpoint: POST, GET and DELETE on the path and everything below; refusals are JSON-RPC errors.")
    static let scopes = Setting(
        "scopes", .list("a list of scopes such as [listings:read]", of: .scope, emptyHint: "leave it out for none"),
        "What a key must be good for, all of it; else 403. Default: nothing.")
    static let toolScopes = Setting(
        "tool_scopes", .toolScopes,
        "With mcp: what a key must be good for besides, by tools called: {\"db_*\": [db:write]}. All that match count.")
    static let responseTimeout = Setting(
        "response_timeout", Settings.Upstream.responseTimeout.form,
        "As upstream.response_timeout, here in its place, and for requests that accept event streams too.")
    static let host = Setting("host", .sentHost, "Host sent on from this route. Default: as upstream.host says.")
    static let onFailure = Setting(
        "on_failure", .onFailure,
        "Without Redis: as redis.on_failure, for this route. Where a policy has one too, the more careful counts.")

    init?(_ mapping: Mapping, _ problems: inout ProblemList) {
        let path = mapping.required(Self.path, &problems)
        let methods = mapping.optional(Self.methods, &problems)
        let isMCP = mapping.value(Self.isMCP, &problems)
        let isPublic = mapping.value(Self.isPublic, &problems)
        let isThrottled = mapping.value(Self.isThrottled, &problems)
        let scopes = mapping.optional(Self.scopes, &problems) ?? []
        let toolScopes = mapping.optional(Self.toolScopes, &problems) ?? []
        let responseTimeout = mapping.optional(Self.responseTimeout, &problems)
        let host = mapping.optional(Self.host, &problems)
        let onFailure = mapping.optional(Self.onFailure, &problems)
        if onFailure != nil, !isThrottled {
            mapping.refuse(
                Self.onFailure, expected: "no on_failure with throttle: false, which is served without Redis",
                &problems)
        }
        guard let path else { return nil }
        Self.refuseUnaskedScopes(isPublic: isPublic, isMCP: isMCP, mapping, &problems)
        if isMCP { Self.refuseWhatMCPDecides(path, methods, mapping, &problems) }
        route = Settings.Route(
            path: path.text, methods: isMCP ? ["DELETE", "GET", "POST"] : methods ?? [], isPublic: isPublic,
            isThrottled: isThrottled, isMCP: isMCP, scopes: scopes, toolScopes: toolScopes,
            responseTimeout: responseTimeout, host: host, onFailure: onFailure)
        self.path = path
        self.mapping = mapping
    }

    private static func refuseUnaskedScopes(
        isPublic: Bool, isMCP: Bool, _ mapping: Mapping, _ problems: inout ProblemList
    ) {
        for key in [Self.scopes.path, Self.toolScopes.path] where mapping.isGiven(key) && isPublic {
            mapping.refuse(key, expected: "no scopes with public: true, which asks for no key", &problems)
        }
        if mapping.isGiven(Self.toolScopes), !isMCP {
            mapping.refuse(
                Self.toolScopes, expected: "mcp: true beside it",
                hint: "only there it is read which tool is called", &problems)
        }
    }

    private static func refuseWhatMCPDecides(
        _ path: RoutePath, _ methods: [String]?, _ mapping: Mapping, _ problems: inout ProblemList
    ) {
        if methods != nil {
            mapping.refuse(
                Self.methods, expected: "no methods with mcp: true, which serves POST, GET and DELETE", &problems)
        }
        if path.hasRest || (path.text.hasSuffix("/") && path.text != "/") {
            mapping.refuse(
                Self.path, expected: "a path without {rest*} and final / with mcp: true, which serves all below",
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
            entry.mapping.refuse(
                RouteEntry.path, expected: "each method of a path once",
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
