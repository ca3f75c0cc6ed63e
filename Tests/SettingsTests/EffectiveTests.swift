// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import Settings

/// What `tollgate config show` prints.
@Suite struct EffectiveTests {
    private static let rich = """
        listen: ["0.0.0.0:8080", "[::1]:8080", unix:/run/t.sock]
        redis: {url: "redis://user:geheim@redis:6379/2", timeout: 50ms}
        keys: {accept: [mcp_, "sk-*"], anonymous: allow}
        cors: {allow_origins: [https://a.example]}
        mcp: {resource_metadata: {resource: "https://a.example/mcp", authorization_servers: ["https://b.example"]}}
        limits: {body_bytes: 1MiB, connections: 500}
        routes:
          - {path: /health, public: true, throttle: false}
          - &api {path: "/api/{id}", methods: [GET, POST], scopes: [a:read]}
          - {<<: *api, path: "/api/{id}/x", response_timeout: off}
          - path: /mcp
            mcp: true
            tool_scopes: {"db_*": [db:write, "a'b"], x: [y]}
        policies:
          - {name: all, per: global, limit: 1000/1s}
          - name: tools
            per: key
            quota: 50/day
            cost: {dear: 5, cheap: 0}
            charge_on: [2xx, 404]
            mode: 25%
            match: {tools: ["db_*", "#odd:{name}", dear], methods: [POST]}
          - {name: home, per: address, limit: 9/1s, address_prefix: {ipv6: 56}}
          - {name: handshake, limit: 5/1s}
        """

    /// A configuration as it is shown, passwords and all.
    private func shown(_ yaml: String) throws -> (text: String, settings: Settings) {
        try withFile(Data(yaml.utf8)) { path in
            let sources = ConfigurationSources(file: path)
            return (try Settings.effective(sources, showsSecrets: true), try Settings.load(sources))
        }
    }

    private func uncommented(_ text: String) throws -> String {
        text.replacing(try Regex(#"^#(?=[a-z_]+:|  )"#).anchorsMatchLineEndings(), with: "")
    }

    private static func files() throws -> [String] {
        let texts = try ShippedFileTests.texts()
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL
        let documents = try ["README.md", "docs/mcp.md", "docs/rate-limits.md", "docs/proxying.md"].flatMap { name in
            try String(contentsOf: root.appending(path: name), encoding: .utf8).matches(of: /```yaml\n([^`]*)```/)
                .map { String($0.1) }
        }
        let valid = documents.filter { lines(of: $0).isEmpty }
        #expect(valid.count >= 3)
        return ["{}", rich, texts.shipped, texts.uncommented] + valid
    }

    @Test func readsBackAsTheSame() throws {
        for yaml in try Self.files() {
            let (text, settings) = try shown(yaml)
            #expect(try Settings.parse(text, named: "shown") == settings, "\(text)")
        }
    }

    /// What is commented out is what holds: in force it changes nothing.
    @Test func whatIsCommentedOutHolds() throws {
        for yaml in try Self.files() {
            let (text, settings) = try shown(yaml)
            var written = try Settings.parse(try uncommented(text), named: "shown")
            // As a number a quarter stays one, whatever it was a quarter of.
            #expect(
                written.limits.connectionsPerAddress
                    == settings.limits.connectionsPerAddress ?? settings.limits.connections / 4)
            written.limits.connectionsPerAddress = settings.limits.connectionsPerAddress
            #expect(written == settings, "\(text)")
        }
    }

    @Test func everySettingIsInIt() throws {
        for yaml in try Self.files() {
            let text = try shown(yaml).text
            var lists: [String: Set<String>] = [:]
            let paths = try ShippedFileTests.paths(
                of: ShippedFileTests.root(of: try uncommented(text)), below: "", entries: &lists)
            let unset = text.split(separator: "\n").last { $0.hasPrefix("# Not set: ") }?
                .dropFirst("# Not set: ".count).components(separatedBy: ", ")
            #expect(paths.isDisjoint(with: unset ?? []))
            #expect(paths.union(unset ?? []) == Set(Settings.schema.rows.filter(\.isSupported).map(\.path)))
        }
    }

    /// Random values of every key that has some here, and the defaults of all others, at random from file, variable or flag.
    @Test(arguments: 0..<8)
    func randomOnesReadBackAsTheSame(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        for _ in 0..<Rounds.usually(40, long: 4_000) {
            let yaml = Self.random(&random)
            let environment = Bool.random(using: &random) ? ["TOLLGATE_REDIS_URL": "redis://:p$w${X}@h/1"] : [:]
            let flags: [ConfigurationSources.Option: String] =
                Bool.random(using: &random) ? [.listen: "127.0.0.1:1,[::1]:2", .logLevel: "debug"] : [:]
            try withFile(Data(yaml.utf8)) { path in
                let sources = ConfigurationSources(file: path, flags: flags, environment: environment)
                let settings: Settings
                do throws(ConfigurationError) { settings = try Settings.load(sources) } catch { return }
                let text = try Settings.effective(sources, showsSecrets: true)
                #expect(try Settings.parse(text, named: "shown") == settings, "\(yaml)\n\(text)")
                #expect(throws: Never.self) { try Settings.parse(Settings.effective(sources), named: "masked") }
            }
        }
    }

    private static let values: [String: [String]] = [
        "listen": ["[127.0.0.1:1, unix:/a]", "\"[::]:80\""], "loops": ["1", "+3", "256"],
        "admin": ["off", "no", "127.0.0.1:2"],
        "log.access": ["off", "./a b#c.log", "/é/\"x\".log"], "redis.url": ["redis://u:p%40w@h", "unix:/r?db=3"],
        "redis.local_share": ["1", "1e-3"], "keys.accept": ["[mcp_, '*?', '{x}']"], "keys.anonymous": ["allow"],
        "keys.headers": ["['X-Key', \"Authorization\"]"], "upstream.response_timeout": ["off", "\"5m\""],
        "upstream.host": ["preserve", "a.example:81"], "upstream.forward_fields": ["[X-Script-Name]", "[]"],
        "cors.allow_origins": ["['*']", "[https://a.example, 'app://x']"], "cors.max_age": ["0"],
        "mcp.hosts": ["[]", "['[::1]:*', a]"], "mcp.origins": ["['http://localhost:*']"], "mcp.reject": ["tool_error"],
        "address_prefix.ipv6": ["56"], "trusted_proxies": ["['::/0', unix]", "[]"],
        "limits.body_bytes": ["1", "10KiB"],
        "limits.connections": ["7"], "usage_retain": ["1d"], "preflights": ["refuse"],
        "routes": ["[{path: /a, methods: ['M-X', GET]}, {path: /mcp, mcp: yes, tool_scopes: {'é*': [x]}}]"],
        "policies": ["[]", "[{name: b, per: org, limit: 5/s, wait: 1s}, {name: c, per: key, concurrency: 0}]"],
    ]

    private static func random(_ random: inout SplitMix) -> String {
        var lines: [String] = ["{"]
        for name in Settings.schema.names(below: "") where Bool.random(using: &random) {
            lines.append("\(name): \(value(name, &random)),")
        }
        return lines.joined(separator: "\n") + "\n}"
    }

    private static func value(_ path: String, _ random: inout SplitMix) -> String {
        if let row = Settings.schema[path] {
            return (values[path] ?? []).randomElement(using: &random) ?? row.standard ?? "null"
        }
        let names = Settings.schema.names(below: path).filter { name in
            let inner = Settings.schema["\(path).\(name)"]
            return inner.map { $0.standard != nil || values[$0.path] != nil } ?? false && Bool.random(using: &random)
        }
        return "{" + names.map { "\($0): \(value("\(path).\($0)", &random))" }.joined(separator: ", ") + "}"
    }

    private static let unset = [
        "upstream.tls.certificate", "upstream.tls.key", "upstream.tls.server_name",
        "redis.username", "redis.password_file", "redis.tls.certificate", "redis.tls.key", "redis.tls.server_name",
        "redis.sentinel.username", "redis.sentinel.password_file", "redis.sentinel.tls",
        "keys.check_file", "cors.allow_origins", "cors.allow_credentials", "cors.max_age",
        "mcp.resource_metadata.resource",
        "mcp.resource_metadata.authorization_servers", "mcp.resource_metadata.scopes_supported",
    ]

    @Test func eachValueTellsItsSource() throws {
        let yaml =
            "namespace: x\nredis:\n  timeout: 50ms\nroutes:\n  - path: /mcp\n    mcp: true\n"
            + "policies: [{name: a, per: org, limit: 1/s}]\n"
        try withFile(Data(yaml.utf8)) { path in
            let text = try Settings.effective(
                ConfigurationSources(
                    file: path, flags: [.listen: "127.0.0.1:1,127.0.0.1:2"],
                    environment: ["TOLLGATE_REDIS_URL": "redis://u:geheim@h:1/2"]))
            let told = text.split(separator: "\n").map { $0.replacing(#/ +# /#) { _ in " # " } }
            #expect(
                told.filter { !$0.hasSuffix(" # default") }.dropFirst(2) == [
                    "listen: [127.0.0.1:1, 127.0.0.1:2] # flag --listen",
                    "#loops: \(try Settings.load().loops) # default, computed",
                    "namespace: x # \(path):1", "log:", "upstream:", "  tls:", "redis:",
                    "  url: redis://u:***@h:1/2 # variable TOLLGATE_REDIS_URL", "  tls:", "  timeout: 50ms # \(path):3",
                    "keys:",
                    "#  accept: [mcp_] # default, computed", "routes:",
                    "  - path: /mcp # \(path):5",
                    "    mcp: true # \(path):6", "policies:", "  - name: a # \(path):7", "    per: org # \(path):7",
                    "    limit: 1/s # \(path):7", "#  - {name: handshake, limit: 120/m} # built in",
                    "#  - {name: open-streams, concurrency: 100} # built in", "mcp:",
                    "#  hosts: [] # default, computed",
                    "#  origins: [] # default, computed",
                    "address_prefix:", "drain:", "limits:",
                    "#  mcp_body_bytes: 4MiB # default, computed",
                    "#  connections: 10000 # default, computed",
                    "#  connections_per_address: 2500 # default, computed",
                    "# Not set: \(Self.unset.joined(separator: ", "))",
                ])
            #expect(told.contains("  local_share: 0.5 # default"))
        }
    }

    @Test func builtInPoliciesAreShown() throws {
        let text = try shown("{}").text
        #expect(text.contains("#policies:\n#  - {name: address, per: address, limit: 15/10s}"))
        #expect(text.contains("#  - {name: org, per: org, limit: 20/10s}"))
    }

    @Test(arguments: [
        ("redis://u:geheim@h/1", "redis://u:***@h/1"), ("redis://:geheim@h", "redis://:***@h"),
        ("redis://u:ge:hei@m@h", "redis://u:***@h"), ("unix://u:geheim@/r.sock", "unix://u:***@/r.sock"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ])
    func passwordsAreMasked(url: String, masked: String) throws {
        for sources in [
            ConfigurationSources(flags: [.redis: url]), ConfigurationSources(environment: ["TOLLGATE_REDIS_URL": url]),
        ] {
            let text = try Settings.effective(sources)
            #expect(text.contains("  url: \(masked) ") || text.contains("  url: \"\(masked)\" "), "\(text)")
            #expect(!text.contains("geheim"))
        }
    }

    @Test func whatIsWrongIsToldInItsPlace() {
        #expect(throws: ConfigurationError.self) {
            try Settings.effective(ConfigurationSources(flags: [.listen: "80"]))
        }
    }
}
