// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

/// What a configuration comes to, as `tollgate config check` tells it.
@Suite struct SummaryTests {
    private func summary(_ yaml: String) throws -> String {
        try Settings.parse(yaml, named: "t.yaml").summary.joined(separator: "\n")
    }

    @Test func withoutAFile() throws {
        #expect(
            try summary("{}") == """
                listens on 127.0.0.1:8080; admin pages on 127.0.0.1:9901
                forwards to 127.0.0.1:8081
                routes:
                  every path  every method
                policies:
                  per address  address  15/10s  callers without a key
                  per org      org      20/10s
                open without a key:
                  GET, HEAD and OPTIONS of /.well-known/
                  preflights (OPTIONS as browsers send it) of every path, unless preflights is refuse
                """)
    }

    @Test func everythingInItsColumn() throws {
        let yaml = """
            listen: ["0.0.0.0:8080", "unix:/run/t.sock"]
            admin: off
            upstream: {url: "unix:/run/handler.sock"}
            preflights: refuse
            routes:
              - {path: /health, methods: [GET], public: true, throttle: false}
              - {path: "/api/{id}", methods: [GET, POST], scopes: [read, write]}
              - {path: "/files/{rest*}", host: preserve, response_timeout: 300s}
              - {path: /mcp, mcp: true, tool_scopes: {"db_*": [db]}, host: inner.example:81, response_timeout: off}
            policies:
              - {name: all, per: global, limit: 1000/1s}
              - {name: trial, per: key, limit: 5/1m, cost: 2, mode: 25%, match: {routes: [/mcp], methods: [POST]}}
              - {name: tools, per: key, quota: 50/day, cost: {dear: 5}, mode: shadow, match: {tools: [dear, "db_*"]}}
              - {name: both, per: address, limit: 9/1s, applies_to: all}
              - {name: known, per: address, concurrency: 4, applies_to: authenticated}
              - {name: open-streams, concurrency: 7}
            """
        #expect(
            try summary(yaml) == """
                listens on 0.0.0.0:8080, unix:/run/t.sock
                forwards to unix:/run/handler.sock
                routes; everything else is 404:
                  /health         GET           no key; no limits
                  /api/{id}       GET, POST     scopes read, write
                  /files/{rest*}  every method  host preserve; response_timeout 5m
                  /mcp            MCP           scopes by tool; host inner.example:81; response_timeout off
                policies:
                  per address  both          9/s          all callers
                  per address  known         4 at a time  callers with a key
                  per key      trial         5/m          denies 25% of them; cost 2; only routes /mcp; only methods POST
                  per key      tools         50/day       denies nobody (shadow); cost by tool; only tools dear, db_*
                  per key      open-streams  7 at a time  streams
                  per key      handshake     120/m        to connect
                  per global   all           1000/s       all callers
                open without a key:
                  GET of /health
                counted by nobody:
                  GET of /health, by throttle: false
                """)
    }

    @Test(
        arguments: [
            (
                "{}",
                [
                    "GET, HEAD and OPTIONS of /.well-known/",
                    "preflights (OPTIONS as browsers send it) of every path, unless preflights is refuse",
                ]
            ),
            ("preflights: refuse", ["GET, HEAD and OPTIONS of /.well-known/"]),
            ("{routes: [{path: /a}, {path: /b, public: true}], preflights: refuse}", ["every method of /b"]),
            ("{routes: [{path: /a}], cors: {allow_origins: ['*']}}", []),
            (
                "routes: [{path: /b, methods: [GET], public: true}]",
                [
                    "GET of /b",
                    "preflights (OPTIONS as browsers send it) of every path, unless preflights is refuse",
                ]
            ),
        ] as [(String, [String])])
    func whatIsOpenIsNamed(yaml: String, open: [String]) throws {
        let text = try summary(yaml)
        let told = text.components(separatedBy: "\nopen without a key:\n").dropFirst().joined()
        let lines = told.components(separatedBy: "\ncounted by nobody:")[0].split(separator: "\n")
        #expect(lines.map { String($0.dropFirst(2)) } == open)
    }

    private struct Counting: Sendable {
        var routes: String?
        var policies: String
        var anonymous = "deny"
        var nobody: [String]
    }

    /// One policy in the file replaces both that are built in.
    @Test(arguments: [
        Counting(
            routes: "{path: /mcp, mcp: true}", policies: "{name: a, per: key, limit: 1/1s, match: {tools: [x]}}",
            nobody: ["wrong keys and unknown paths", "calls with a key, but for what is matched by a"]),
        Counting(
            routes: "{path: /mcp, mcp: true}, {path: /b}",
            policies: "{name: a, per: org, limit: 1/1s, match: {tools: [x]}}, {name: b, per: address, limit: 1/1s}",
            nobody: ["calls with a key: /mcp, but for what is matched by a", "calls with a key: /b"]),
        Counting(policies: "", nobody: ["wrong keys and unknown paths", "calls with a key"]),
        Counting(policies: "{name: a, per: org, limit: 1/1s}", nobody: ["wrong keys and unknown paths"]),
        Counting(policies: "{name: a, per: global, limit: 1/1s}", nobody: ["wrong keys and unknown paths"]),
        Counting(policies: "{name: a, per: address, limit: 1/1s}", nobody: ["calls with a key"]),
        Counting(policies: "{name: a, per: address, limit: 1/1s, applies_to: all}", nobody: []),
        Counting(
            policies: "{name: a, per: address, limit: 1/1s, applies_to: authenticated}",
            nobody: ["wrong keys and unknown paths"]),
        Counting(
            routes: "{path: /a}, {path: /b, methods: [GET, PUT]}, {path: /c, public: true}",
            policies: "{name: a, per: address, limit: 1/1s}, {name: b, per: org, limit: 1/1s, match: {methods: [GET]}}",
            nobody: ["calls with a key: other methods of /a", "calls with a key: PUT of /b"]),
        Counting(
            routes: "{path: /a}, {path: /c, public: true}, {path: /d, public: true}",
            policies: "{name: a, per: address, limit: 1/1s, match: {routes: [/c]}}, {name: b, per: org, limit: 1/1s}",
            nobody: ["wrong keys and unknown paths", "calls without a key: /d"]),
        Counting(
            policies: "{name: a, per: org, limit: 1/1s}", anonymous: "allow",
            nobody: ["wrong keys and unknown paths", "calls without a key"]),
        Counting(
            routes: "{path: /a, throttle: false}, {path: /b, methods: [GET], throttle: false}",
            policies: "{name: a, per: address, limit: 1/1s}",
            nobody: ["every method of /a, by throttle: false", "GET of /b, by throttle: false"]),
    ])
    private func whatNobodyCountsIsNamed(row: Counting) throws {
        let routes = row.routes.map { "routes: [\($0)]" } ?? ""
        let text = try summary(
            "{\(["policies: [\(row.policies)]", "keys: {anonymous: \(row.anonymous)}", routes].filter { !$0.isEmpty }.joined(separator: ", "))}"
        )
        let told = text.split(separator: "counted by nobody:\n", omittingEmptySubsequences: false).dropFirst().joined()
        #expect(told.split(separator: "\n").map { String($0.dropFirst(2)) } == row.nobody)
    }
}
