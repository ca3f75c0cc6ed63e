// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

/// What operators are told of typical mistakes, over every key there is: one message each, and no guess that isn't a value of
/// that very key.
@Suite struct HintTests {
    /// A key with what has to stand beside it.
    struct Place: Sendable, CustomTestStringConvertible {
        let path: String
        let isList: Bool
        let yaml: @Sendable (_ value: String) -> String

        var testDescription: String { path }
    }

    /// As YAML writes them.
    private static let mistakes = [
        "'${NAME}'", "true", "50", "0.5", "'5'", "10_000", "64 KB", "5 seconds", "100/minute", "Org", "ip", "none",
        "localhost:3000", "'/api/:id'", "X Real IP", "'*'", "null",
    ]

    private static let beside: [String: String] = [
        "redis.tls.certificate": "key: /a.key, ", "redis.tls.key": "certificate: /a.crt, ",
        "cors.allow_credentials": "allow_origins: ['https://a.example'], ",
        "cors.max_age": "allow_origins: ['https://a.example'], ",
        "mcp.resource_metadata.resource": "authorization_servers: ['https://a.example'], ",
        "mcp.resource_metadata.authorization_servers": "resource: 'https://a.example/mcp', ",
        "mcp.resource_metadata.scopes_supported":
            "resource: 'https://a.example/mcp', authorization_servers: ['https://a.example'], ",
    ]

    private static let places: [Place] = {
        @Sendable func nested(_ path: String, _ value: String, _ others: String = "") -> String {
            let parts = path.split(separator: ".")
            // What redis.tls, redis.sentinel and upstream.tls are about.
            let urls = ["redis": "url: 'rediss+sentinel://h/m', ", "upstream": "url: 'https://h', "]
            let url = parts.count > 2 && ["tls", "sentinel"].contains(parts[1]) ? urls[String(parts[0])] ?? "" : ""
            let open = parts.dropLast().enumerated().map { "\($1): {" + ($0 == 0 ? url : "") }.joined()
            return "\(open)\(others)\(parts[parts.count - 1]): \(value)"
                + String(repeating: "}", count: parts.count - 1)
        }
        let root = Settings.schema.rows.filter { $0.isSupported && $0.path != "routes" && $0.path != "policies" }.map {
            row in
            Place(path: row.path, isList: row.expectation.contains("list")) {
                nested(row.path, $0, beside[row.path] ?? "")
            }
        }
        let routes = RouteEntry.schema.rows.filter(\.isSupported).map { row in
            let path: String
            switch row.path {
            case "path", "openapi": path = ""
            case "rest", "hosts": path = "openapi: /openapi.json, "
            default: path = "path: /a, "
            }
            let mcp = row.path == "tool_scopes" ? "mcp: true, " : ""
            return Place(path: "routes[0].\(row.path)", isList: row.expectation.contains("list")) {
                "routes: [{\(path)\(mcp)\(nested(row.path, $0))}]"
            }
        }
        let subjects = [
            "address_prefix.ipv4": "address", "address_prefix.ipv6": "address", "applies_to": "global",
        ]
        let policies = PolicyEntry.schema.rows.filter(\.isSupported).map { row in
            var others: [String] = []
            if row.path != "name" { others.append("name: a") }
            if row.path != "per" { others.append("per: \(subjects[row.path] ?? "key")") }
            if !["limit", "quota", "concurrency"].contains(row.path) { others.append("limit: 100000/d") }
            let own = others.map { "\($0), " }.joined()
            return Place(path: "policies[0].\(row.path)", isList: row.expectation.contains("list")) {
                "{routes: [{path: /a, mcp: true}], policies: [{\(own)\(nested(row.path, $0))}]}"
            }
        }
        return root + routes + policies
    }()

    @Test(arguments: places)
    func eachMistakeIsOneMessageAndEachGuessAValue(_ place: Place) {
        for mistake in Self.mistakes {
            for value in place.isList ? [mistake, "[\(mistake)]"] : [mistake] {
                let yaml = place.yaml(value)
                let told = linesWithoutColumns(of: yaml)
                #expect(told.count <= 1, "\(yaml)")
                guard let line = told.first else { continue }
                #expect(line.hasPrefix("t.yaml:1: \(place.path)"), "\(line)")
                for guess in guesses(in: line) {
                    let quoted =
                        guess.wholeMatch(of: /[\w.:\/%*-]+/) == nil ? "'\(guess)'" : guess
                    let mended = place.yaml(value.hasPrefix("[") ? "[\(quoted)]" : quoted)
                    // A guess for an entry of a list, or of a mapping, isn't one for all of it.
                    let whole = line.hasPrefix("t.yaml:1: \(place.path)[") ? place.yaml("[\(quoted)]") : mended
                    #expect(linesWithoutColumns(of: whole) == [], "\(line)")
                }
            }
        }
    }

    @Test(arguments: places)
    func aVariableIsNeverTakenAsItStands(_ place: Place) {
        for value in ["'${NAME}'", "['${NAME}']", "'/var/${NAME}/x'", "$NAME"] {
            #expect(!linesWithoutColumns(of: place.yaml(value)).isEmpty, "\(place.yaml(value))")
        }
    }

    @Test(arguments: [
        // Bare numbers, by what the key takes.
        ("redis: {timeout: 50}", "redis.timeout", "did you mean 50ms?"),
        ("redis: {timeout: 5}", "redis.timeout", "did you mean 5s?"),
        ("upstream: {connect_timeout: 30}", "upstream.connect_timeout", "did you mean 30s?"),
        ("upstream: {connect_timeout: 500}", "upstream.connect_timeout", "did you mean 500ms or 500s?"),
        ("keys: {retain: 90}", "keys.retain", "did you mean 90d?"),
        ("usage_retain: 400", "usage_retain", "did you mean 400d?"),
        ("drain: {delay: 0}", "drain.delay", "did you mean 0s?"),
        ("upstream: {idle_timeout: 1.5s}", "upstream.idle_timeout", "did you mean 1500ms?"),
        ("upstream: {idle_timeout: 5 minutes}", "upstream.idle_timeout", "did you mean 5m?"),
        ("upstream: {idle_timeout: 1h30m}", "upstream.idle_timeout", "did you mean 90m?"),
        ("keys: {retain: 2 weeks}", "keys.retain", "did you mean 14d?"),
        ("limits: {body_bytes: 16 MB}", "limits.body_bytes", "did you mean 16MiB?"),
        ("limits: {body_bytes: 1.5mb}", "limits.body_bytes", "did you mean 1536KiB?"),
        ("limits: {connections: 10_000}", "limits.connections", "did you mean 10000?"),
        ("address_prefix: {ipv4: /24}", "address_prefix.ipv4", "did you mean 24?"),
        ("cors: {allow_origins: ['*'], max_age: 10m}", "cors.max_age", "did you mean 600?"),
        ("redis: {local_share: '50%'}", "redis.local_share", "did you mean 0.5?"),
        // Choices.
        ("keys: {anonymous: true}", "keys.anonymous", "did you mean allow?"),
        ("keys: {forward: 1}", "keys.forward", "did you mean true?"),
        ("keys: {forward: enabled}", "keys.forward", "did you mean true?"),
        ("redis: {on_failure: fail-open}", "redis.on_failure", "did you mean open?"),
        ("preflights: deny", "preflights", "did you mean refuse?"),
        ("log: {level: WARN}", "log.level", "did you mean warning?"),
        ("log: {format: NDJSON}", "log.format", "did you mean json?"),
        ("log: {sample: 10}", "log.sample", "did you mean 10%?"),
        ("log: {sample: 0.1}", "log.sample", "did you mean 10%?"),
        ("log: {sample: '12.5 %'}", "log.sample", "did you mean 12.5%?"),
        ("log: {access: stderr}", "log.access", "did you mean stdout?"),
        ("admin: on", "admin", "did you mean 127.0.0.1:9901?"),
        ("admin:", "admin", "did you mean off?"),
        // Addresses and names.
        ("redis: {url: localhost}", "redis.url", "did you mean redis://localhost:6379/0?"),
        ("redis: {url: 'redis:6380'}", "redis.url", "did you mean redis://redis:6380/0?"),
        ("redis: {url: /run/redis.sock}", "redis.url", "did you mean unix:/run/redis.sock?"),
        ("upstream: {url: 'localhost:3000'}", "upstream.url", "did you mean http://localhost:3000?"),
        ("upstream: {url: '3000'}", "upstream.url", "did you mean http://127.0.0.1:3000?"),
        ("listen: /run/x.sock", "listen", "did you mean unix:/run/x.sock?"),
        ("routes: [{path: 'api/<id>'}]", "routes[0].path", "did you mean /api/{id}?"),
        ("cors: {allow_origins: ['localhost:5173']}", "cors.allow_origins[0]", "did you mean http://localhost:5173?"),
        ("mcp: {origins: [app.example.com]}", "mcp.origins[0]", "did you mean https://app.example.com?"),
        ("client_address: 'X Real IP'", "client_address", "did you mean X-Real-IP?"),
        ("namespace: 'prod:'", "namespace", "did you mean prod?"),
        // Routes.
        ("routes: [{path: '/api/:id'}]", "routes[0].path", "did you mean /api/{id}?"),
        ("routes: [{path: '/api/<int:id>/x'}]", "routes[0].path", "did you mean /api/{id}/x?"),
        ("routes: [{path: /a, methods: ['*']}]", "routes[0].methods[0]", "leave methods out for all of them"),
        ("routes: [{path: /a, anonymous: true}]", "routes[0].anonymous", "did you mean routes[0].public?"),
    ])
    func theNearestValueIsOffered(yaml: String, path: String, hint: String) {
        let told = linesWithoutColumns(of: yaml)
        #expect(told.count == 1)
        #expect(told.first?.hasPrefix("t.yaml:1: \(path): ") == true, "\(told)")
        #expect(told.first?.hasSuffix("(\(hint))") == true, "\(told)")
    }

    @Test(arguments: [
        ("name: Org", "name", "did you mean org?"), ("name: my_policy", "name", "did you mean my-policy?"),
        ("per: ip", "per", "did you mean address?"), ("per: user", "per", "did you mean key?"),
        ("per: Organisation", "per", "did you mean org?"), ("per: everyone", "per", "did you mean global?"),
        ("applies_to: guests", "applies_to", "did you mean anonymous?"),
        ("mode: 25", "mode", "did you mean 25%?"), ("mode: 0.25", "mode", "did you mean 25%?"),
        ("mode: dry-run", "mode", "did you mean shadow?"), ("mode: on", "mode", "did you mean enforce?"),
        ("reject: JSON-RPC", "reject", "did you mean jsonrpc?"),
        ("limit: 100/min", "limit", "did you mean 100/1m?"), ("limit: 10r/s", "limit", "did you mean 10/1s?"),
        ("limit: 5 requests per minute", "limit", "did you mean 5/1m?"),
        ("limit: 100/60", "limit", "did you mean 100/60s?"),
        ("limit: 100/hour", "limit", "did you mean 100/1h? quota: 100/hour counts by the calendar"),
        ("limit: 5000/month", "limit", "quota: 5000/month counts by the calendar"),
        ("quota: 100/minute", "quota", "limit: 100/1m is a rate"),
        ("quota: 100/10s", "quota", "limit: 100/10s is a rate"),
        ("quota: 5000 per month", "quota", "did you mean 5000/month?"),
        ("wait: 2", "wait", "did you mean 2s?"), ("charge_on: [success]", "charge_on[0]", "did you mean 2xx?"),
        ("charge_on: [200-299]", "charge_on[0]", "did you mean 2xx?"),
        ("rate: 100/1m", "rate", "did you mean policies[0].limit?"),
    ])
    func theNearestValueOfAPolicyIsOffered(setting: String, path: String, hint: String) {
        let name = setting.prefix { $0 != ":" }
        let others = [("name", "a"), ("per", name == "applies_to" ? "global" : "key"), ("limit", "1/s")]
            .filter { key, _ in key != name && !(key == "limit" && (name == "quota" || name == "rate")) }
        let yaml = "policies: [{\((others.map { "\($0): \($1)" } + [setting]).joined(separator: ", "))}]"
        let told = linesWithoutColumns(of: yaml)
        #expect(told.count == 1)
        #expect(told.first?.hasPrefix("t.yaml:1: policies[0].\(path): ") == true, "\(told)")
        #expect(told.first?.hasSuffix("(\(hint))") == true, "\(told)")
    }

    @Test func aPolicyNeedsAnAllowance() {
        #expect(
            linesWithoutColumns(of: "policies: [{name: a, per: key}]") == [
                "t.yaml:1: policies[0].limit: expected <count>/[<n>](ms|s|m|h|d)[:<burst>] such as 20/10s or 100/10s:200, "
                    + "or quota or concurrency in its place, got no such key"
            ])
    }

    @Test func aVariableNamesTheOneThatSetsTheKey() {
        #expect(
            linesWithoutColumns(
                of: "redis: {url: '${REDIS_URL}'}\nlog: {access: '/var/${HOST}/a.log'}\nlisten: ['${ADDRESS}']") == [
                    "t.yaml:1: redis.url: expected a Redis URL such as redis://127.0.0.1:6379/0 or unix:/run/redis.sock, got "
                        + "'${REDIS_URL}' (variables aren't expanded here; TOLLGATE_REDIS_URL sets this key)",
                    "t.yaml:2: log.access: expected stdout, off or a file such as /var/log/tollgate.log, got "
                        + "'/var/${HOST}/a.log' (variables aren't expanded here)",
                    "t.yaml:3: listen[0]: expected an address such as 127.0.0.1:8080, got '${ADDRESS}' (variables aren't "
                        + "expanded here; TOLLGATE_LISTEN sets this key)",
                ])
    }

    // MARK: Folders

    @Test func foldersAreLookedAtWhereTheyAreToBeThere() throws {
        let yaml = "log: {access: /nonexistent/a.log}\nlisten: [unix:/nonexistent/x.sock, unix:/etc/passwd/x]\n"
        try withFile(Data(yaml.utf8)) { file in
            #expect(throws: Never.self) { try Settings.load(ConfigurationSources(file: file)) }
            let error = #expect(throws: ConfigurationError.self) {
                try Settings.load(ConfigurationSources(file: file, looksAtFolders: true))
            }
            #expect(
                error?.lines == [
                    "\(file):1:15: log.access: expected a file in a folder that is there, got /nonexistent/a.log: there is "
                        + "no folder /nonexistent",
                    "\(file):2:9: listen: expected a socket in a folder that is there, got /nonexistent/x.sock: there is no "
                        + "folder /nonexistent",
                    "\(file):2:9: listen: expected a socket in a folder that is there, got /etc/passwd/x: /etc/passwd is no "
                        + "folder",
                ])
        }
        try withFile(Data("log: {access: /etc}\n".utf8)) { file in
            let error = #expect(throws: ConfigurationError.self) {
                try Settings.load(ConfigurationSources(file: file, looksAtFolders: true))
            }
            #expect(
                error?.lines == [
                    "\(file):1:15: log.access: expected a file in a folder that is there, got /etc, which is a folder"
                ])
        }
        try withFile(Data("log: {access: ./a.log}\n".utf8)) { file in
            #expect(throws: Never.self) {
                try Settings.load(ConfigurationSources(file: file, looksAtFolders: true))
            }
        }
    }

    private func guesses(in line: String) -> [String] {
        guard let match = line.firstMatch(of: /\(did you mean (.+?)\?/), !match.1.contains("[0].") else { return [] }
        return match.1.components(separatedBy: " or ")
    }
}
