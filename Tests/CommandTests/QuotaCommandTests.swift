// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite struct QuotaCommandTests {
    /// As a sidecar publishes it (docs/design.md, "What is in Redis"), with tokens that take hours.
    private static let published = """
        {"policies":[{"name":"address","per":"address","limit":"9/d"},{"name":"org","per":"org","limit":"100/d"},\
        {"name":"search","per":"key","limit":"2/d:4","cost":2},{"name":"ceiling","per":"global","limit":"50/s"}]}
        """

    private func withKey(
        sidecars: [(name: String, hash: String, age: Int)] = [("web-1", "h1", 0)],
        _ body: (Tollgatectl, RedisServer, _ id: String) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            _ = try await tollgatectl("org", "create", "acme")
            let issued = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a").output
            let id = String(try #require(issued.firstMatch(of: /acme\/[a-z2-7]{10}/)).output)
            for sidecar in sidecars {
                _ = try await server.cli("SET", "tg:1:{:m}:policies:\(sidecar.hash)", Self.published)
                let beat = try await now(server) / 1_000_000 - sidecar.age
                _ = try await server.cli("ZADD", "tg:1:{:m}:sidecars", "\(beat)", "\(sidecar.name):\(sidecar.hash)")
            }
            try await body(tollgatectl, server, id)
        }
    }

    /// Microseconds since 1970 by Redis' clock.
    private func now(_ server: RedisServer) async throws -> Int {
        let parts = try await server.cli("TIME").split(separator: "\n").compactMap { Int($0) }
        return parts[0] * 1_000_000 + parts[1]
    }

    /// Of an hour ahead, which counts as of now: what is owed doesn't drain, however long it takes until somebody looks.
    private func owe(_ tokens: Int, _ bucket: String, in server: RedisServer) async throws {
        _ = try await server.cli(
            "EVAL", "return redis.call('SET', KEYS[1], struct.pack('<ddd', ARGV[1], 1, ARGV[2]))", "1", bucket,
            "\(tokens)", "\(try await now(server) + 3_600_000_000)")
    }

    @Test func aKeyShowsAllThatLimitsIt() async throws {
        try await withKey { tollgatectl, server, id in
            // 60 of 100 tokens of 864 s each; 4 of 4 of 12 h each.
            try await owe(60, "tg:1:{acme}:b:org", in: server)
            try await owe(4, "tg:1:{acme}:b:search:\(id.dropFirst(5))", in: server)
            equal(
                try await tollgatectl("quota", "show", id),
                .init(
                    code: 0,
                    output: """
                        Policies of sidecar web-1:
                        POLICY   PER     CAPACITY  REFILL  COST  REMAINING  NEXT CALL  FULL            FROM
                        org      org          100   100/d     1         40  now        in 14 h 24 min  configuration
                        search   key            4     2/d     2          0  in 12 h    in 2 d          configuration
                        ceiling  global        50    50/s     1         50  now        now             configuration

                        """, errors: ""))
        }
    }

    @Test func whatIsNearlyUsedUpIsFoundAmongAll() async throws {
        try await withKey { tollgatectl, server, id in
            _ = try await tollgatectl("org", "create", "globex")
            try await owe(80, "tg:1:{acme}:b:org", in: server)
            try await owe(79, "tg:1:{globex}:b:org", in: server)
            try await owe(4, "tg:1:{acme}:b:search:\(id.dropFirst(5))", in: server)
            equal(
                try await tollgatectl("quota", "show", "--all", "--near", "80%"),
                .init(
                    code: 0,
                    output: """
                        WHOSE            POLICY  USED  REMAINING  CAPACITY  NEXT CALL  FROM
                        \(id)  search  100%          0         4  in 12 h    configuration
                        acme             org      80%         20       100  now        configuration

                        """, errors: ""))
            #expect(try await tollgatectl("quota", "show", "--all", "--near", "79").output.contains("\nglobex"))
            let json = try await tollgatectl("quota", "show", "--all", "--json").output.split(separator: "\n")
            #expect(json.count == 2)
            #expect(
                json.first?.hasPrefix(
                    #"{"subject":{"kind":"key","id":"\#(id)"},"used_percent":100,"name":"search","per":"key","#)
                    == true,
                "\(json)")
            _ = try await tollgatectl("key", "revoke", id)
            _ = try await tollgatectl("quota", "reset", "acme", "org")
            equal(
                try await tollgatectl("quota", "show", "--all"),
                .init(code: 0, output: "", errors: "No limit is 80% used.\n"))
        }
    }

    @Test(arguments: [
        ["--all", "acme"], ["--all", "--global"], ["acme", "--near", "80%"], ["--all", "--near", "0%"],
        ["--all", "--near", "101"], ["--all", "--near", "most"],
    ])
    func whatIsNoSurveyIs64(options: [String]) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent").run(["quota", "show"] + options)
        #expect(outcome.code == 64, "\(outcome)")
    }

    /// A new number fills no bucket.
    @Test func aLimitTellsOfABucketThatIsStillEmpty() async throws {
        try await withKey { tollgatectl, server, id in
            try await owe(100, "tg:1:{acme}:b:org", in: server)
            let raised = try await tollgatectl("org", "limit", "acme", "org=50/d", "search=9/d")
            equal(
                raised,
                .init(
                    code: 0, output: "Own limits of organization acme: org=50/d search=9/d\n",
                    errors: "tollgatectl: warning: policy org: the bucket is still empty, and the next call passes "
                        + "in 1 d 1 h; to fill it: tollgatectl quota reset acme org\n"))
            let local = String(id.dropFirst(5))
            try await owe(9, "tg:1:{acme}:b:search:\(local)", in: server)
            let key = try await tollgatectl("key", "limit", id, "search=9/d")
            #expect(key.errors.contains("policy search: the bucket is still empty"), "\(key)")
            #expect(key.errors.contains("to fill it: tollgatectl quota reset \(id) search\n"), "\(key)")
            _ = try await tollgatectl("quota", "reset", id, "search")
            #expect(try await tollgatectl("key", "limit", id, "search=8/d").errors == "")
        }
    }

    /// Why is this customer refused?
    @Test func aKeyShowsWhyItIsRefused() async throws {
        try await withKey { tollgatectl, server, id in
            let local = String(id.dropFirst(5))
            let served = try await tollgatectl("key", "show", id).output
            #expect(!served.contains("Refus"), "\(served)")
            #expect(served.contains("\n\nPolicies of sidecar web-1:\nPOLICY "), "\(served)")
            try await owe(4, "tg:1:{acme}:b:search:\(local)", in: server)
            let day = try await server.cli(
                "EVAL", "return redis.call('TIME')[1]", "0")
            let today = String(try #require(Int(day)) / 86_400)
            _ = try await server.cli("HSET", "tg:1:{acme}:u:\(try basicDay(today))", "\(local):-:d", "7")
            _ = try await tollgatectl("key", "limit", id, "search=2/d:4")
            let refused = try await tollgatectl("key", "show", id)
            #expect(refused.output.contains("\nRefused:    429, nothing is left of search (in 12 h)\n"), "\(refused)")
            #expect(refused.output.contains("\nRefusals:   7 today, 7 in 7 days, by limits and rights\n"), "\(refused)")
            #expect(
                refused.output.contains("search   key            4     2/d     2          0  in 12 h    in 2 d  key"))
            _ = try await tollgatectl("key", "revoke", id)
            let json = try await tollgatectl("key", "show", id, "--json").output
            #expect(json.contains(#""refused":"401, revoked","denied_today":7,"denied_7_days":7,"sets":[{"#), "\(json)")
        }
    }

    private func basicDay(_ number: String) throws -> String {
        let date = Date(timeIntervalSince1970: Double(try #require(Int(number))) * 86_400)
        return date.formatted(.iso8601.year().month().day()).replacing("-", with: "")
    }

    /// Both are published where an `mcp` route is served.
    @Test func aKeyShowsTheHandshakeAndCostsByTool() async throws {
        try await withKey { tollgatectl, server, id in
            _ = try await server.cli(
                "SET", "tg:1:{:m}:policies:h1",
                """
                {"policies":[{"name":"tools","per":"key","limit":"9/d","cost":1,"tool_costs":{"search":5,"ping":0},\
                "match":{"routes":[],"methods":[],"tools":["*"]},"reject":"tool_error","wait":1000000},\
                {"name":"handshake","per":"key","limit":"120/d",\
                "match":{"routes":[],"methods":[],"mcp_methods":["initialize","server/discover"]}}]}
                """)
            try await owe(1, "tg:1:{acme}:b:handshake:\(id.dropFirst(5))", in: server)
            equal(
                try await tollgatectl("quota", "show", id),
                .init(
                    code: 0,
                    output: """
                        Policies of sidecar web-1:
                        POLICY     PER  CAPACITY  REFILL     COST  REMAINING  NEXT CALL  FULL       FROM
                        tools      key         9     9/d  by tool          9  now        now        configuration
                        handshake  key       120   120/d        1        119  now        in 12 min  configuration

                        """, errors: ""))
            let json = try await tollgatectl("quota", "show", id, "--json").output
            #expect(json.contains(#""name":"tools","per":"key","capacity":9,"refill":"9/d","cost":1,"#), "\(json)")
            #expect(json.contains(#""tool_costs":{"ping":0,"search":5},"remaining":9"#), "\(json)")
            let reset = try await tollgatectl("quota", "reset", id, "handshake", "--yes")
            #expect(reset.code == 0, "\(reset)")
            #expect(try await server.cli("EXISTS", "tg:1:{acme}:b:handshake:\(id.dropFirst(5))") == "0")
        }
    }

    @Test func jsonIsAsDocumented() async throws {
        try await withKey { tollgatectl, server, id in
            _ = try await server.cli("HSET", "tg:1:{acme}", "limits", "org=7/d")
            equal(
                try await tollgatectl("quota", "show", "acme", "--json"),
                .init(
                    code: 0,
                    output: """
                        {"subject":{"kind":"org","id":"acme"},"key_status":null,"sets":[{"source":"live","hash":"h1",\
                        "sidecars":["web-1"],"policies":[{"name":"org","per":"org","capacity":7,"refill":"7/d","cost":1,\
                        "tool_costs":{},"remaining":7,"next_call_ms":0,"full_ms":0,"from":"organization",\
                        "kind":"limit","enforced":true}]}]}

                        """, errors: ""))
            _ = try await server.cli("HSET", "tg:1:{acme}", "limits", "org=0/d")
            let refused = try await tollgatectl("quota", "show", "acme", "--json").output
            #expect(refused.contains(#""remaining":0,"next_call_ms":null,"full_ms":null"#), "\(refused)")
            _ = try await tollgatectl("key", "revoke", id)
            let revoked = try await tollgatectl("quota", "show", id, "--json")
            #expect(revoked.output.hasPrefix(#"{"subject":{"kind":"key","id":"\#(id)"},"key_status":"revoked","#))
            #expect(
                revoked.errors == "tollgatectl: warning: calls with key \(id) are refused: revoked\n",
                "\(revoked.errors)")
        }
    }

    @Test func sidecarsThatDisagreeAreWarnedAbout() async throws {
        let sidecars = [("web-1", "h1", 1), ("web-2", "h1", 3), ("old", "h2", 2), ("gone", "h3", 61)]
        try await withKey(sidecars: sidecars) { tollgatectl, server, _ in
            _ = try await server.cli(
                "SET", "tg:1:{:m}:policies:h2", #"{"policies":[{"name":"streams","per":"org","concurrency":4}]}"#)
            equal(
                try await tollgatectl("quota", "show", "acme"),
                .init(
                    code: 0,
                    output: """
                        Policies of 2 sidecars web-1, web-2:
                        POLICY  PER  CAPACITY  REFILL  REMAINING  NEXT CALL  FULL  FROM
                        org     org       100   100/d        100  now        now   configuration

                        Policies of sidecar old:
                        none counts organization acme

                        """,
                    errors: """
                        tollgatectl: warning: the sidecars disagree: they run by 2 policy sets, and count each by its own; \
                        give them one configuration
                        tollgatectl: warning: a newer tollgate made streams; this tollgatectl can't show what is left there

                        """))
        }
    }

    /// Whose definition a bucket goes by is nobody's to guess.
    @Test func whatSidecarsDisagreeAboutIsNotChanged() async throws {
        let sidecars = [("web-1", "h1", 1), ("web-2", "h1", 3), ("old", "h2", 2)]
        try await withKey(sidecars: sidecars) { tollgatectl, server, id in
            let other = """
                {"policies":[{"name":"org","per":"org","limit":"100/d","cost":3},\
                {"name":"search","per":"key","limit":"9/d"},{"name":"ceiling","per":"org","limit":"50/s"}]}
                """
            _ = try await server.cli("SET", "tg:1:{:m}:policies:h2", other)
            let bucket = "tg:1:{acme}:b:search:\(id.dropFirst(5))"
            for name in [bucket, "tg:1:{acme}:b:org"] { try await owe(90_000, name, in: server) }
            func refused(_ arguments: String..., policy: String, one: String, other: String) async throws {
                let outcome = try await tollgatectl.run(["quota"] + arguments)
                let expected = Tollgatectl.Outcome(
                    code: 65, output: "",
                    errors: """
                        tollgatectl: policy \(policy) is \(one) to the policies of 2 sidecars web-1, web-2, and \(other) to \
                        those of sidecar old; give all sidecars one configuration, or name the one to go by with --config FILE

                        """)
                #expect(outcome == expected)
            }
            try await refused("reset", id, "search", policy: "search", one: "2/d:4 per key", other: "9/d per key")
            try await refused("reset", id, policy: "search", one: "2/d:4 per key", other: "9/d per key")
            try await refused("grant", id, "search", "1", policy: "search", one: "2/d:4 per key", other: "9/d per key")
            try await refused("reset", "--global", policy: "ceiling", one: "50/s per global", other: "50/s per org")
            try await refused("reset", "203.0.113.9", policy: "address", one: "9/d per address", other: "unknown")
            #expect(try await server.cli("EXISTS", bucket) == "1")

            // They agree on the numbers of this one.
            let agreed = try await tollgatectl("quota", "reset", "acme", "org")
            #expect(agreed == .init(code: 0, output: "Policy org of organization acme is full again.\n", errors: ""))
            let file = "\(server.directory)/tollgate.yaml"
            try Data("policies: [{name: search, per: key, limit: 9/1d}]".utf8).write(to: URL(filePath: file))
            let named = try await tollgatectl("quota", "reset", id, "search", "--config", file)
            #expect(named == .init(code: 0, output: "Policy search of key \(id) is full again.\n", errors: ""))
        }
    }

    @Test func withoutSidecarsTheLastPoliciesAreShown() async throws {
        try await withKey(sidecars: [("web-1", "h1", 600)]) { tollgatectl, _, _ in
            let outcome = try await tollgatectl("quota", "show", "203.0.113.9")
            #expect(
                outcome
                    == .init(
                        code: 0,
                        output: """
                            Policies as last published by web-1; no sidecar runs now:
                            POLICY   PER      CAPACITY  REFILL  REMAINING  NEXT CALL  FULL  FROM
                            address  address         9     9/d          9  now        now   configuration

                            """,
                        errors: "tollgatectl: warning: no sidecar runs now; these are the policies last published\n"))
        }
    }

    @Test func withNothingPublishedAFileIsAskedFor() async throws {
        try await withKey(sidecars: []) { tollgatectl, _, _ in
            let expected = Tollgatectl.Outcome(
                code: 66, output: "",
                errors: "tollgatectl: no sidecar has published its policies here; start one, or give --config FILE\n")
            equal(try await tollgatectl("quota", "show", "acme"), expected)
            equal(try await tollgatectl("quota", "reset", "acme"), expected)
            let file = FileManager.default.temporaryDirectory.appending(path: "tollgate-\(UUID().uuidString).yaml")
            try Data("policies: [{name: everybody, per: global, limit: 7/s}]".utf8).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            let outcome = try await tollgatectl("quota", "show", "--global", "--config", file.path)
            #expect((outcome.code, outcome.errors) == (0, ""))
            #expect(
                outcome.output == """
                    Policies of \(file.path):
                    POLICY     PER     CAPACITY  REFILL  REMAINING  NEXT CALL  FULL  FROM
                    everybody  global         7     7/s          7  now        now   configuration

                    """)
        }
    }

    @Test(arguments: [
        ["show"], ["show", "Acme"], ["show", "acme", "--global"], ["show", "acme/short"], ["show", "10.0.0.1/8"],
        ["reset"], ["reset", "acme", "Not_A_Policy"], ["reset", "--global", "one", "two"], ["reset", "acme", "a", "b"],
    ])
    func wrongUsageIs64(arguments: [String]) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent").run(["quota"] + arguments)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.hasPrefix("Error: "))
    }

    @Test func oneBucketIsResetWithoutAsking() async throws {
        try await withKey { tollgatectl, server, id in
            let bucket = "tg:1:{acme}:b:search:\(id.dropFirst(5))"
            try await owe(2, bucket, in: server)
            try await owe(60, "tg:1:{acme}:b:org", in: server)
            equal(
                try await tollgatectl("quota", "reset", id),
                .init(code: 0, output: "Policy search of key \(id) is full again.\n", errors: ""))
            #expect(try await server.cli("EXISTS", bucket, "tg:1:{acme}:b:org") == "1")
            equal(
                try await tollgatectl("quota", "reset", id, "search", "--json"),
                .init(code: 0, output: #"{"policy":"search","reset":false}"# + "\n", errors: ""))
            let wrong = try await tollgatectl("quota", "reset", id, "org")
            #expect(
                wrong
                    == .init(
                        code: 65, output: "", errors: "tollgatectl: no policy org counts key \(id); there is search\n")
            )
        }
    }

    @Test func severalAreResetOnlyWhereSomebodySaysSo() async throws {
        try await withKey { tollgatectl, server, _ in
            _ = try await server.cli(
                "SET", "tg:1:{:m}:policies:h1",
                #"{"policies":[{"name":"org","per":"org","limit":"5/d"},{"name":"burst","per":"org","limit":"9/d"}]}"#)
            try await owe(1, "tg:1:{acme}:b:org", in: server)
            let asked = try await tollgatectl("quota", "reset", "acme")
            #expect((asked.code, asked.output) == (64, ""))
            #expect(asked.errors.hasPrefix("Error: 2 buckets would be filled; give --yes where nobody can be asked\n"))
            #expect(try await server.cli("EXISTS", "tg:1:{acme}:b:org") == "1")
            equal(
                try await tollgatectl("quota", "reset", "acme", "--yes"),
                .init(
                    code: 0,
                    output: """
                        Policy org of organization acme is full again.
                        Policy burst of organization acme was full.

                        """, errors: ""))
            let one = try await tollgatectl("quota", "reset", "acme", "burst")
            #expect(one == .init(code: 0, output: "Policy burst of organization acme was full.\n", errors: ""))
        }
    }

    /// Limits of keys are checked against what is published.
    @Test func anOverrideThatDoesNotFitIs65() async throws {
        try await withKey { tollgatectl, _, _ in
            let issue = ["key", "issue", "--org", "acme", "--name", "b", "--limit"]
            let fits = try await tollgatectl.run(issue + ["search=9/s"])
            #expect((fits.code, fits.errors) == (0, ""))
            equal(
                try await tollgatectl.run(issue + ["serch=9/s"]),
                .init(
                    code: 65, output: "",
                    errors: """
                        tollgatectl: --limit: no policy serch in the policies of sidecar web-1; did you mean search?

                        """))
            equal(
                try await tollgatectl.run(issue + ["org=9/s"]),
                .init(
                    code: 65, output: "",
                    errors:
                        "tollgatectl: --limit: policy org is per org, a key can override only those per key\n"))
        }
    }
}
