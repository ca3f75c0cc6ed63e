// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `tollgatectl` without the sidecars' file: it issues and judges keys by what they publish.
@Suite struct KeyTermsCommandTests {
    private static let policies = #""policies":[{"name":"org","per":"org","limit":"100/d"}]"#

    private static func terms(
        prefix: String, accept: String? = nil, headers: String = #""X-API-Key","Authorization""#, most: Int = 50
    ) -> String {
        """
        {"keys":{"prefix":"\(prefix)","accept":["\(accept ?? prefix)"],"headers":[\(headers)],\
        "max_active_per_org":\(most),"check":"prefer"},\(policies)}
        """
    }

    private func with(
        _ sets: [String], age: Int = 0, namespace: String = "tg",
        _ body: (Tollgatectl, RedisServer) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let now = try #require(Int(try await server.cli("TIME").prefix { $0 != "\n" }))
            for (number, set) in sets.enumerated() {
                _ = try await server.cli("SET", "\(namespace):1:{:m}:policies:h\(number)", set)
                _ = try await server.cli(
                    "ZADD", "\(namespace):1:{:m}:sidecars", "\(now - age)", "web-\(number):h\(number)")
            }
            let tollgatectl = Tollgatectl(url: server.url)
            _ = try await tollgatectl("org", "create", "acme")
            try await body(tollgatectl, server)
        }
    }

    private func issue(
        _ tollgatectl: Tollgatectl, _ options: String...
    ) async throws -> (key: String, id: String, outcome: Tollgatectl.Outcome) {
        let outcome = try await tollgatectl.run(["key", "issue", "--org", "acme", "--name", "a"] + options)
        let key = String(outcome.output.prefix { $0 != "\n" })
        let id = outcome.output.firstMatch(of: /acme\/[a-z2-7]{10}/).map { String($0.output) } ?? ""
        return (key, id, outcome)
    }

    private func verify(_ tollgatectl: Tollgatectl, _ line: String, _ options: String = "") async throws
        -> Tollgatectl.Outcome
    {
        try await tollgatectl.shell("printf '%s\\n' \"$0\" | tollgatectl key verify \(options)", line)
    }

    @Test(arguments: [0, 600]) func aKeyIsIssuedAsTheSidecarsPublish(age: Int) async throws {
        let set = Self.terms(prefix: "sk_", headers: #""X-Token","Authorization""#)
        try await with([set], age: age) { tollgatectl, _ in
            for number in 1...6 {
                let (key, id, outcome) = try await issue(tollgatectl)
                #expect((outcome.code, outcome.errors) == (0, ""))
                #expect(key.wholeMatch(of: /sk_[A-Za-z0-9_-]{43}/) != nil)
                #expect(outcome.output.hasSuffix(" Send it as X-Token, or as Authorization: Bearer.\n"))
                guard number == 6 else { continue }
                let rotated = try await tollgatectl("key", "rotate", id)
                #expect((rotated.code, rotated.errors) == (0, ""))
                #expect(rotated.output.hasPrefix("sk_"))
            }
        }
    }

    @Test func theCapIsTheirs() async throws {
        try await with([Self.terms(prefix: "mcp_", most: 1)]) { tollgatectl, _ in
            #expect(try await issue(tollgatectl).outcome.code == 0)
            let expected = Tollgatectl.Outcome(
                code: 73, output: "",
                errors: """
                    tollgatectl: organization acme has 1 active key, the most it may have; revoke one with: tollgatectl key \
                    revoke ID; or let it have more with: tollgatectl org set acme --max-active-keys 2

                    """)
            #expect(try await issue(tollgatectl).outcome == expected)
            let set = try await tollgatectl("org", "set", "acme", "--max-active-keys", "2")
            let changed = "Organization acme may have 2 active keys now; it has 1.\n"
            #expect(set == .init(code: 0, output: changed, errors: ""))
            #expect(try await issue(tollgatectl).outcome.code == 0)
        }
    }

    @Test func sidecarsThatDisagreeAreToldOf() async throws {
        let (one, other) = (Self.terms(prefix: "sk_"), Self.terms(prefix: "mcp_", most: 5))
        // Two that differ in their policies alone are of one mind about keys.
        let third = one.replacing("100/d", with: "99/d")
        try await with([one, other, third]) { tollgatectl, server in
            let warning = """
                sidecar web-1 has keys.prefix mcp_, keys.accept [mcp_], keys.max_active_per_org 5 and refuses it

                """
            let (key, id, outcome) = try await issue(tollgatectl)
            #expect(key.hasPrefix("sk_"))
            #expect(
                outcome.errors
                    == "tollgatectl: warning: this key follows 2 sidecars web-0, web-2; \(warning)")

            let verified = try await verify(tollgatectl, key)
            #expect(verified.code == 0)
            #expect(
                verified.errors == """
                    tollgatectl: warning: the key is refused by the terms of sidecar web-1: they take only keys like mcp_*

                    """)
            #expect(try await tollgatectl("key", "rotate", id).errors.contains(warning))

            // Whatever they say, a file that is named wins, and they are told of all the same.
            let file = "\(server.directory)/tollgate.yaml"
            try Data("keys: {prefix: acme_}\n".utf8).write(to: URL(filePath: file))
            let named = try await issue(tollgatectl, "--config", file)
            #expect(named.key.hasPrefix("acme_"))
            #expect(
                named.outcome.errors == """
                    tollgatectl: warning: this key follows \(file); 2 sidecars web-0, web-2 have keys.prefix sk_, \
                    keys.accept [sk_], keys.max_active_per_org 50 and refuse it
                    tollgatectl: warning: this key follows \(file); sidecar web-1 has keys.prefix mcp_, keys.accept [mcp_] \
                    and refuses it

                    """)
            // quota show counts both as one, as they have the same policies.
            #expect(try await tollgatectl("quota", "show", "acme").output.contains("sidecars web-0, web-1:\n"))
        }
    }

    @Test func aKeyThatNoSidecarTakesDoesNotHold() async throws {
        try await with([Self.terms(prefix: "mcp_")]) { tollgatectl, server in
            let (key, id, _) = try await issue(tollgatectl)
            let good = try await verify(tollgatectl, key, "--json")
            #expect((good.code, good.errors) == (0, ""))
            #expect(good.output.hasSuffix(#","accepted":true,"proven":true}"# + "\n"))

            _ = try await server.cli("SET", "tg:1:{:m}:policies:h0", Self.terms(prefix: "sk-", accept: "sk-*"))
            let outcome = try await verify(tollgatectl, key, "--json")
            #expect(outcome.code == 73)
            #expect(outcome.output.hasSuffix(#","accepted":false,"proven":true}"# + "\n"))
            #expect(
                outcome.errors == """
                    tollgatectl: key \(id) does not hold: the sidecars take only keys like sk-* (keys.accept)

                    """)
            // Published by a version that publishes none.
            _ = try await server.cli("SET", "tg:1:{:m}:policies:h0", "{\(Self.policies)}")
            let unknown = try await verify(tollgatectl, key, "--json")
            #expect((unknown.code, unknown.errors) == (0, ""))
            #expect(unknown.output.hasSuffix(#","accepted":null,"proven":true}"# + "\n"))
        }
    }

    /// Others may write to Redis: nobody is sent away by what can't be a sidecar's terms.
    @Test func termsThatNoSidecarHasAreNotBelieved() async throws {
        let sets = [
            Self.terms(prefix: "x", accept: "zzz"), Self.terms(prefix: "*"), Self.terms(prefix: "x", headers: ""),
        ]
        try await with(sets) { tollgatectl, _ in
            let (key, _, outcome) = try await issue(tollgatectl)
            #expect((outcome.code, outcome.errors) == (0, ""))
            #expect(key.hasPrefix("mcp_"))
            let verified = try await verify(tollgatectl, key)
            #expect((verified.code, verified.errors) == (0, ""))
        }
    }

    @Test func ofManyThatDisagreeAFewAreNamed() async throws {
        try await with((1...9).map { Self.terms(prefix: "k\($0)_") }) { tollgatectl, _ in
            let (key, _, outcome) = try await issue(tollgatectl)
            let lines = outcome.errors.split(separator: "\n")
            #expect(lines.count == 6)
            #expect(lines.last == "tollgatectl: warning: 3 more like these")
            let verified = try await verify(tollgatectl, key).errors.split(separator: "\n")
            #expect(verified.count == 6)
            #expect(verified.last == lines.last)
        }
    }

    @Test func ofManyFormsAFewAreShown() async throws {
        let forms = (1...999).map { "k\($0)_" }.joined(separator: #"",""#)
        try await with([Self.terms(prefix: "k_", accept: #"k_",""# + forms)]) { tollgatectl, _ in
            let errors = try await verify(tollgatectl, "s3cret").errors
            #expect(
                errors == """
                    tollgatectl: that is no key of this gateway, whose keys are like k_* or k1_* or k2_* or k3_* or 996 more; \
                    is it whole, or a variable that was not expanded?

                    """)
        }
    }

    @Test func aHeaderLineIsReadAndNotRepeated() async throws {
        try await with([Self.terms(prefix: "mcp_", headers: #""X-Token""#)]) { tollgatectl, _ in
            let (key, id, _) = try await issue(tollgatectl)
            let good = try await verify(tollgatectl, "X-Token: \(key)")
            #expect((good.code, good.errors) == (0, ""))
            #expect(good.output.hasPrefix("Key:        \(id)\n"))
            for (line, header) in [
                ("X-API-Key: \(key)", "X-API-Key"), ("authorization: bearer \(key)", "Authorization"),
            ] {
                let other = try await verify(tollgatectl, line)
                #expect(other.code == 0)
                #expect(other.output == good.output)
                #expect(
                    other.errors
                        == "tollgatectl: warning: the sidecars look for no key in \(header): send it as X-Token\n")
            }
            let refused = """
                tollgatectl: that is no key of this gateway, whose keys are like mcp_*; is it whole, or a variable that was \
                not expanded?

                """
            for line in ["Authorization: Bearer ${TOKEN}", "X-API-Key:", "X-API-Key: s3cret", "s3cret", "mcp_"] {
                equal(try await verify(tollgatectl, line), .init(code: 66, output: "", errors: refused))
            }
            let unknown = try await verify(tollgatectl, "X-Token: \(key)x")
            #expect(
                unknown
                    == .init(
                        code: 66, output: "",
                        errors: "tollgatectl: no such key here; is it whole, and is this the Redis it was issued in?\n")
            )
            let argument = try await tollgatectl("key", "verify", "X-Token: \(key)")
            #expect(argument.code == 64)
            #expect(argument.errors.hasPrefix("Error: a key is no argument"))
            #expect(!argument.errors.contains(key))
        }
    }

    @Test func sidecarsOfOtherNamespacesAreNamed() async throws {
        try await with([Self.terms(prefix: "sk_")], namespace: "prod") { tollgatectl, _ in
            let warning = """
                tollgatectl: warning: no sidecar runs in namespace tg, but some in prod; to work there: --namespace prod, or \
                TOLLGATE_NAMESPACE

                """
            #expect(try await issue(tollgatectl).outcome.errors == warning)
            #expect(try await tollgatectl("org", "create", "bravo").errors == warning)
            let missing = try await tollgatectl("org", "show", "none")
            #expect(missing.code == 66)
            #expect(missing.errors.hasPrefix(warning))
            let shown = try await tollgatectl("quota", "show", "acme")
            #expect(
                shown.errors
                    == warning
                    + "tollgatectl: no sidecar has published its policies here; start one, or give --config FILE\n")
            let there = try await tollgatectl.shell("TOLLGATE_NAMESPACE=prod exec tollgatectl org create acme")
            #expect(there.errors.isEmpty)
        }
    }

    /// For all verbs, so that what is made by the file is found by it.
    @Test func aVariableNamesFileAndNamespace() async throws {
        try await with([]) { tollgatectl, server in
            let file = "\(server.directory)/tollgate.yaml"
            try Data("namespace: prod\nkeys: {prefix: sk_}\nredis: {url: \"\(server.url)\"}\n".utf8)
                .write(to: URL(filePath: file))
            let outcome = try await tollgatectl.shell(
                """
                unset TOLLGATE_REDIS_URL; export TOLLGATE_CONFIG="$0"
                tollgatectl org create acme && tollgatectl key issue --org acme --name a | head -c 3
                tollgatectl key list --json | wc -l
                TOLLGATE_NAMESPACE=tg tollgatectl key list --json | wc -l
                TOLLGATE_NAMESPACE=tg tollgatectl key list --namespace prod --json | wc -l
                """, file)
            #expect(
                outcome
                    == .init(
                        code: 0,
                        output: """
                            Organization acme created. Next: tollgatectl key issue --org acme --name laptop
                            sk_1
                            0
                            1

                            """, errors: ""))
            let none = try await tollgatectl.shell("TOLLGATE_CONFIG=none.yaml exec tollgatectl org list")
            #expect((none.code, none.output) == (65, ""))
            #expect(none.errors.hasPrefix("tollgatectl: TOLLGATE_CONFIG: none.yaml: "), "\(none.errors)")
            let wrong = try await tollgatectl.shell("TOLLGATE_NAMESPACE='a b' exec tollgatectl org list")
            #expect(wrong.code == 64)
            #expect(
                wrong.errors.hasPrefix(
                    """
                    Error: TOLLGATE_NAMESPACE: expected 1 to 32 of A-Z a-z 0-9 . _ -
                    Usage: tollgatectl org list [--json]
                    """), "\(wrong.errors)")
        }
    }
}
