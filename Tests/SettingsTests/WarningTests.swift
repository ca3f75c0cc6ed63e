// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

/// What is legal and hardly meant: told where it is so, and never where it may well be meant.
@Suite struct WarningTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var yaml: String
        /// As compilers write them; none where nothing is to be told.
        var told: [String] = []

        var testDescription: String { yaml }
    }

    private static let rows =
        ownAddress + timeouts + pages + shadowed + unmetMethods + unmetLimits + unmetKeys + unmetAddresses
        + unmetBesideDocuments

    @Test(arguments: rows)
    func isToldExactly(_ row: Row) throws {
        #expect(try Settings.parse(row.yaml, named: "t.yaml").warnings.map(\.asWarning) == row.told)
    }

    private static func circle(_ address: String) -> String {
        "requests are forwarded to \(address), where Tollgate itself listens, so they would go round in circles: name the "
            + "handler's address in upstream.url"
    }

    private static let ownAddress = [
        Row(yaml: "listen: 127.0.0.1:8081", told: ["t.yaml:1:9: warning: listen: \(circle("127.0.0.1:8081"))"]),
        Row(
            yaml: "listen: [127.0.0.1:80, '[::]:90']\nupstream: {url: 'http://localhost:90'}",
            told: ["t.yaml:2:17: warning: upstream.url: \(circle("localhost:90"))"]),
        Row(
            yaml: "listen: unix:/run/a\nupstream: {url: unix:/run/a}",
            told: ["t.yaml:2:17: warning: upstream.url: \(circle("unix:/run/a"))"]),
        Row(yaml: "listen: unix:/run/a\nupstream: {url: unix:/run/b}"),
        Row(yaml: "listen: 0.0.0.0:8081\nupstream: {url: http://app:8081}"),
        Row(yaml: "listen: 127.0.0.1:8081\nupstream: {url: http://127.0.0.2:8081}"),
        Row(yaml: "listen: 127.0.0.1:0\nupstream: {url: http://127.0.0.1:80}"),
        Row(yaml: "{}"),
    ]

    private static let timeouts = [
        Row(
            yaml: "drain: {timeout: 400ms}",
            told: [
                "t.yaml:1:18: warning: drain.timeout: a drain of 400ms cuts requests that may wait 500ms for Redis: "
                    + "make drain.timeout longer, or redis.timeout shorter"
            ]),
        Row(yaml: "drain: {timeout: 500ms}"),
        // At once, and meant.
        Row(yaml: "drain: {timeout: 0s}"),
        Row(yaml: "redis: {timeout: 10s}"),
        Row(
            yaml: "redis: {timeout: 1s}\nupstream: {response_timeout: 1s}\nroutes: [{path: /a, response_timeout: 2s},"
                + " {path: /b, response_timeout: 500ms}, {path: /c, response_timeout: off}]",
            told: [
                "t.yaml:2:30: warning: upstream.response_timeout: a request may wait 2s for Redis (twice redis.timeout), "
                    + "longer than for its answer (1s): make redis.timeout shorter, or this longer",
                "t.yaml:3:73: warning: routes[1].response_timeout: a request may wait 2s for Redis (twice redis.timeout), "
                    + "longer than for its answer (500ms): make redis.timeout shorter, or this longer",
            ]),
        Row(yaml: "redis: {timeout: 1s}\nupstream: {response_timeout: 2s}"),
        Row(
            yaml: "redis: {timeout: 1s}\nupstream: {response_timeout: 1999ms}",
            told: [
                "t.yaml:2:30: warning: upstream.response_timeout: a request may wait 2s for Redis (twice redis.timeout), "
                    + "longer than for its answer (1999ms): make redis.timeout shorter, or this longer"
            ]),
        Row(yaml: "redis: {timeout: 10s}\nupstream: {response_timeout: off}"),
    ]

    private static func pageRow(
        _ cors: String, _ origins: String, _ refused: [String] = [], _ unread: [String] = [],
        routes: String = "[{path: /mcp, mcp: true}]"
    ) -> Row {
        Row(
            yaml: "cors: {allow_origins: \(cors)}\nmcp: {origins: \(origins)}\nroutes: \(routes)",
            told: refused.map {
                "t.yaml:1:23: warning: cors.allow_origins: \($0) isn't in mcp.origins, so mcp routes refuse that page: add "
                    + "it there"
            }
                + unread.map {
                    "t.yaml:2:16: warning: mcp.origins: \($0) isn't in cors.allow_origins, so browsers keep answers from "
                        + "that page: add it there"
                })
    }

    private static let pages = [
        pageRow("[https://a.example]", "[https://a.example, 'http://localhost:*']"),
        pageRow(
            "[https://a.example:8443, http://localhost:1]", "[https://a.example, 'http://localhost:*']",
            ["https://a.example:8443"], ["https://a.example"]),
        pageRow("[http://localhost]", "['http://localhost:*']"),
        pageRow("[http://localhost.example]", "['http://localhost:*']", ["http://localhost.example"]),
        pageRow("[https://a.example, https://b.example]", "[]"),
        pageRow("[https://a.example]", "['https://A.example:443', 'https://b.example']", [], ["https://b.example"]),
        pageRow("[https://a.example]", "[https://b.example]", routes: "[{path: /a}]"),
        Row(
            yaml:
                "cors: {allow_origins: ['*']}\nmcp: {origins: [https://b.example]}\nroutes: [{path: /mcp, mcp: true}]",
            told: [
                "t.yaml:1:23: warning: cors.allow_origins: these are all pages, and mcp routes refuse those that mcp.origins "
                    + "lacks: list the pages here"
            ]),
        // The pages of this machine, which are there by default.
        Row(
            yaml: "keys: {anonymous: allow}\ncors: {allow_origins: ['http://localhost']}\n"
                + "routes: [{path: /mcp, mcp: true}]"),
    ]

    private static let shadowed = [
        Row(
            yaml: "routes:\n  - {path: /mcp, mcp: true}\n  - {path: '/mcp/{rest*}', methods: [GET, HEAD]}",
            told: [
                "t.yaml:3:12: warning: routes[1].path: routes[0] is mcp and serves all below /mcp, so this route never "
                    + "matches: leave it out, or list it first"
            ]),
        Row(
            yaml: "routes: [{path: /, mcp: true}, {path: '/{all*}', methods: [POST]}]",
            told: [
                "t.yaml:1:39: warning: routes[1].path: routes[0] is mcp and serves all below /, so this route never "
                    + "matches: leave it out, or list it first"
            ]),
        Row(yaml: "routes: [{path: '/mcp/{rest*}', methods: [GET]}, {path: /mcp, mcp: true}]"),
        Row(yaml: "routes: [{path: /mcp, mcp: true}, {path: '/mcp/{rest*}', methods: [GET, PUT]}]"),
        Row(yaml: "routes: [{path: /mcp, mcp: true}, {path: '/mcp/{rest*}'}]"),
        Row(
            yaml:
                "routes: [{path: /mcp, mcp: true}, {path: '/mcp/{id}', methods: [GET]}, {path: /mcp/, methods: [GET]}]"),
        Row(yaml: "routes: [{path: /api}, {path: '/api/{rest*}', methods: [GET]}]"),
        Row(
            yaml:
                "mcp: {resource_metadata: {resource: 'https://a.example/mcp', authorization_servers: ['https://b']}}\n"
                + "routes: [{path: /.well-known/oauth-protected-resource/mcp, methods: [GET], public: true}]",
            told: [
                "t.yaml:2:17: warning: routes[0].path: mcp.resource_metadata is served here, so this route never matches: "
                    + "leave one of them out"
            ]),
        Row(yaml: "routes: [{path: /.well-known/oauth-protected-resource/mcp, methods: [GET], public: true}]"),
        Row(
            yaml:
                "mcp: {resource_metadata: {resource: 'https://a.example/mcp', authorization_servers: ['https://b']}}\n"
                + "routes: [{path: /.well-known/oauth-protected-resource/other, methods: [GET], public: true}]"),
    ]

    private static func policyRow(_ routes: String, _ policy: String, _ told: String...) -> Row {
        Row(
            yaml: "routes: [\(routes)]\npolicies:\n  - {name: a, \(policy)}",
            told: told.map { "t.yaml:3:\($0)" })
    }

    private static let unmetMethods = [
        policyRow(
            "{path: /a, methods: [GET]}, {path: /b, methods: [POST]}",
            "per: org, limit: 1/s, match: {routes: [/a], methods: [POST]}",
            "68: warning: policies[0].match.methods: no route of match.routes serves POST, so the policy counts nothing: "
                + "name methods that a route serves"),
        policyRow(
            "{path: /a, methods: [GET]}", "per: global, limit: 1/s, match: {methods: [PUT, DELETE]}",
            "57: warning: policies[0].match.methods: no route serves PUT, DELETE, so the policy counts nothing: name "
                + "methods that a route serves"),
        policyRow("{path: /a, methods: [GET]}", "per: org, limit: 1/s, match: {methods: [HEAD]}"),
        policyRow("{path: /a}", "per: org, limit: 1/s, match: {methods: [PROPFIND]}"),
        policyRow(
            "{path: /a, methods: [GET]}, {path: /b, methods: [PUT]}", "per: org, limit: 1/s, match: {methods: [PUT]}"),
        // What is refused on its way to a route is charged to addresses, and forwarded preflights to all.
        policyRow("{path: /a, methods: [GET]}", "per: address, limit: 1/s, match: {methods: [PUT]}"),
        policyRow("{path: /a, methods: [GET]}", "per: global, limit: 1/s, match: {methods: [OPTIONS]}"),
        Row(yaml: "policies: [{name: a, per: org, limit: 1/s, match: {methods: [PUT]}}]"),
    ]

    private static let unmetLimits = [
        policyRow(
            "{path: /a, throttle: false}, {path: /b}", "per: org, limit: 1/s, match: {routes: [/a]}",
            "53: warning: policies[0].match.routes: every route that it matches has throttle: false, so the policy counts "
                + "nothing: take that away, or it"),
        policyRow(
            "{path: /a, throttle: false}", "per: global, limit: 1/s",
            "12: warning: policies[0].name: every route that it matches has throttle: false, so the policy counts nothing: "
                + "take that away, or it"),
        policyRow("{path: /a, throttle: false}, {path: /b}", "per: org, limit: 1/s"),
    ]

    private static let unmetKeys = [
        policyRow(
            "{path: /a, public: true}, {path: /b, public: true}", "per: key, limit: 1/s",
            "12: warning: policies[0].name: every route that it matches is public and asks for no key, so the policy counts "
                + "nothing: count per address or global, or ask for keys"),
        policyRow(
            "{path: /a, public: true}, {path: /b}",
            "per: global, applies_to: authenticated, limit: 1/s, match: {routes: [/a]}",
            "83: warning: policies[0].match.routes: every route that it matches is public and asks for no key, so the "
                + "policy counts nothing: take applies_to away, or ask for keys"),
        policyRow("{path: /a, public: true}, {path: /b}", "per: key, limit: 1/s"),
        policyRow("{path: /a, public: true}", "per: global, limit: 1/s"),
        policyRow("{path: /a, public: true}", "per: address, limit: 1/s"),
        // Nobody wrote the policies that are built in.
        Row(yaml: "routes: [{path: /a, public: true}]"),
        Row(yaml: "routes: [{path: /mcp, mcp: true, public: true}]"),
        Row(
            yaml: "routes: [{path: /mcp, mcp: true, public: true}]\npolicies: [{name: handshake, limit: 5/1s}]",
            told: [
                "t.yaml:2:19: warning: policies[0].name: every route that it matches is public and asks for no key, so the "
                    + "policy counts nothing: count per address or global, or ask for keys"
            ]),
        Row(yaml: "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: handshake, limit: 5/1s}]"),
    ]

    /// Those per address count refusals as well, if these take their routes.
    private static let unmetAddresses = [
        policyRow(
            "{path: /a, throttle: false}", "per: address, limit: 1/s, match: {routes: [/a]}",
            "57: warning: policies[0].match.routes: every route that it matches has throttle: false, so the policy counts "
                + "nothing: take that away, or it"),
        // Other methods are 405, and charged.
        policyRow("{path: /a, methods: [GET], throttle: false}", "per: address, limit: 1/s, match: {routes: [/a]}"),
        policyRow("{path: /a, mcp: true, throttle: false}", "per: address, limit: 1/s, match: {routes: [/a]}"),
        policyRow("{path: /a, throttle: false}", "per: address, limit: 1/s"),
        policyRow("{path: /a}", "per: address, limit: 1/s, match: {routes: [/a]}"),
        policyRow(
            "{path: /a, public: true}", "per: address, applies_to: authenticated, limit: 1/s",
            "12: warning: policies[0].name: every route that it matches is public and asks for no key, so the policy counts "
                + "nothing: take applies_to away, or ask for keys"),
        policyRow(
            "{path: /a, methods: [GET]}",
            "per: address, applies_to: authenticated, limit: 1/s, match: {methods: [PUT]}",
            "85: warning: policies[0].match.methods: no route serves PUT, so the policy counts nothing: name methods that a "
                + "route serves"),
        policyRow("{path: /a}", "per: address, applies_to: authenticated, limit: 1/s"),
        policyRow("{path: /a, mcp: true}", "per: address, limit: 1/s, match: {tools: [search]}"),
    ]

    /// A document adds no method to a listed route, and no key.
    private static let unmetBesideDocuments = [
        policyRow(
            "{openapi: /o.json}, {path: /a, methods: [GET]}",
            "per: org, limit: 1/s, match: {routes: [/a], methods: [POST]}",
            "68: warning: policies[0].match.methods: no route of match.routes serves POST, so the policy counts nothing: "
                + "name methods that a route serves"),
        policyRow(
            "{openapi: /o.json}, {path: /a, public: true}", "per: key, limit: 1/s, match: {routes: [/a]}",
            "53: warning: policies[0].match.routes: every route that it matches is public and asks for no key, so the "
                + "policy counts nothing: count per address or global, or ask for keys"),
        // It may tell of others that are met.
        policyRow("{openapi: /o.json}, {path: /a, public: true}", "per: key, limit: 1/s"),
        policyRow("{openapi: /o.json}, {path: /a, public: true}", "per: key, limit: 1/s, match: {routes: [/a, /b]}"),
        policyRow("{openapi: /o.json}, {path: /a, methods: [GET]}", "per: org, limit: 1/s, match: {methods: [POST]}"),
    ]

    @Test func whatIsShippedHasNone() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../deploy/tollgate.yaml")
        #expect(try Settings.load(ConfigurationSources(file: file.standardizedFileURL.path)).warnings == [])
    }

    /// A reload compares configurations: a line above changes nothing.
    @Test func whereTheyStandMakesNoDifference() throws {
        let yaml = "drain: {timeout: 400ms}\n"
        let settings = try Settings.parse(yaml, named: "t.yaml")
        let shifted = try Settings.parse("# More\n" + yaml, named: "t.yaml")
        #expect(settings == shifted)
        #expect(settings.warnings != shifted.warnings)
    }
}
