// SPDX-License-Identifier: Apache-2.0

import Limits

// The entries of `routes` and `policies`.

extension Schema {
    package static let route = Table(
        [
            routePath.row, routeMethods.row, routeIsPublic.row, routeIsThrottled.row, routeIsMCP.row,
            routeScopes.row, routeToolScopes.row, routeResponseTimeout.row, routeHost.row, .later("openapi"),
        ],
        synonyms: [
            "anonymous": "public", "url": "path", "pattern": "path", "prefix": "path",
        ],
        // Under the name of a key nearby, a value would open what it was to close.
        remarks: [
            "a key is asked for unless public is true": [
                "auth", "authenticate", "authenticated", "authentication", "private", "protected", "require_auth",
                "secure",
            ],
            "policies limit calls; throttle: false exempts a route": ["limit", "quota", "rate", "rate_limit"],
        ])

    static let routePath = Key("path", .routePath, "Exact path; {name} takes one segment, {rest*} what is left.")
    static let routeMethods = Key(
        "methods", .list("a list of methods", of: .method, emptyHint: "leave it out for all methods"),
        "Methods the route serves; GET serves HEAD. Default: all.")
    static let routeIsPublic = Key("public", .boolean, default: "false", "No key is asked for.")
    static let routeIsThrottled = Key("throttle", .boolean, default: "true", "Whether limits are charged and enforced.")
    static let routeIsMCP = Key(
        "mcp", .boolean, default: "false",
        "An MCP endpoint: POST, GET and DELETE on the path and everything below; refusals are JSON-RPC errors.")

    static let routeScopes = Key(
        "scopes", .list("a list of scopes such as [listings:read]", of: .scope, emptyHint: "leave it out for none"),
        "What a key must be good for, all of it; else 403. Default: nothing.")
    static let routeToolScopes = Key(
        "tool_scopes", .toolScopes,
        "With mcp: what a key must be good for besides, by tools called: {\"db_*\": [db:write]}. All that match count.")

    static let routeResponseTimeout = Key(
        "response_timeout", upstreamResponseTimeout.form,
        "As upstream.response_timeout, here in its place, and for requests that accept event streams too.")
    static let routeHost = Key("host", .sentHost, "Host sent on from this route. Default: as upstream.host says.")

    package static let policy = Table(
        [
            policyName.row, policySubject.row, policyCallers.row, policyLimit.row, policyBurst.row, policyQuota.row,
            policyConcurrency.row, policyCost.row, policyMode.row, policyReject.row, policyWait.row,
            policyChargeOn.row, policyCostField.row, policyRoutes.row, policyMethods.row, policyMCPMethods.row,
            policyTools.row, policyPrompts.row, policyResources.row, policyPrefixIPv4.row, policyPrefixIPv6.row,
        ],
        synonyms: [
            "rate": "limit", "rate_limit": "limit", "requests": "limit", "calls": "limit", "by": "per", "key_by": "per",
            "subject": "per", "scope": "per", "concurrent": "concurrency", "max_concurrent": "concurrency",
            "parallel": "concurrency", "weight": "cost", "id": "name",
        ],
        remarks: [
            "mode is enforce, unless shadow is given, which denies nobody": [
                "dry_run", "dryrun", "enabled", "enforce", "shadow",
            ]
        ])

    static let policyName = Key("name", .policyName, "Its name in fields, logs and Redis keys.")
    static let policySubject = Key(
        "per",
        .choice(
            ["address": Policy.Subject.address, "key": .key, "org": .org, "global": .global],
            hints: [
                "ip": "address", "ip_address": "address", "client": "address", "client_ip": "address",
                "host": "address",
                "remote_addr": "address", "user": "key", "token": "key", "api_key": "key", "apikey": "key",
                "consumer": "key", "credential": "key", "principal": "key", "organisation": "org",
                "organization": "org", "tenant": "org", "account": "org", "team": "org", "customer": "org",
                "company": "org", "all": "global", "everyone": "global", "everybody": "global", "service": "global",
                "server": "global", "total": "global", "any": "global", "*": "global",
            ]),
        "Whose calls share a bucket.")
    static let policyCallers = Key(
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
    static let policyLimit = Key(
        "limit", .limit,
        "A rate, <count>/[<n>](ms|s|m|h|d): 20/10s holds 20 and refills 2 a second. Or quota, or concurrency.")
    static let policyBurst = Key("burst", .integer(1...Limit.largestNumber), "Capacity. Default: the limit's count.")
    static let policyQuota = Key(
        "quota", .quota, "So many tokens a calendar window in UTC, <count>/(hour|day|week|month): 5000/month.")
    static let policyConcurrency = Key(
        "concurrency", .integer(0...1_000_000),
        "So many requests, streams and tunnels at a time, each of which takes one.")
    static let policyCost = Key(
        "cost", .cost, default: "1", "Tokens a call takes; or by tool, {search: 5}, where other calls take 1.")
    static let policyMode = Key(
        "mode", .mode, default: "enforce",
        "enforce, shadow (counts, denies nobody), or a share of its subjects, always the same, such as 25%.")
    static let policyReject = Key(
        "reject", .reject, "How its denials reach MCP clients: auto, http, jsonrpc or tool_error. Default: mcp.reject.")
    static let policyWait = Key(
        "wait", .duration(.zero...(.seconds(30))), default: "0s",
        "How long a request is held that has room within this time, before it is denied.")
    static let policyChargeOn = Key(
        "charge_on", .statuses,
        "Answers that are paid for, such as [2xx, 404]; others are refunded: who can cause one works for free.")
    static let policyCostField = Key(
        "cost_header", .costField,
        "A field of the handler's answer, taken off it, that says what the request has cost; debt is possible.")
    static let policyRoutes = Key(
        "match.routes",
        .list("a list of paths of routes", of: .matchedRoute, emptyHint: "leave it out for all routes"),
        "Paths of routes, as routes lists them, that the policy is limited to.")
    static let policyMethods = Key(
        "match.methods", .list("a list of methods", of: .method, emptyHint: "leave it out for all methods"),
        "Methods that the policy is limited to; GET includes HEAD.")
    static let policyMCPMethods = Key(
        "match.mcp_methods", .globs("tools/*"), "Methods of MCP messages that the policy is limited to; * and ? match.")
    static let policyTools = Key("match.tools", .globs("db_*"), "Tools whose calls the policy is limited to.")
    static let policyPrompts = Key("match.prompts", .globs("review_*"), "Prompts that the policy is limited to.")
    static let policyResources = Key(
        "match.resources", .globs("file:///*"), "URIs of resources that the policy is limited to.")
    static let policyPrefixIPv4 = Key(
        "address_prefix.ipv4", .prefixLength(of: .v4),
        "With per: address, leading bits of an IPv4 address that count as one caller. Default: address_prefix.ipv4.")
    static let policyPrefixIPv6 = Key(
        "address_prefix.ipv6", .prefixLength(of: .v6), "The same of an IPv6 address. Default: address_prefix.ipv6.")
    /// What it takes the body of a request to know.
    static let policyContent = [policyMCPMethods, policyTools, policyPrompts, policyResources]
}
