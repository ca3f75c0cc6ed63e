// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite struct UsageCommandTests {
    private func withKey(
        _ body: (Tollgatectl, RedisServer, _ id: String, _ local: String) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            _ = try await tollgatectl("org", "create", "acme")
            let issued = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a").output
            let id = String(try #require(issued.firstMatch(of: /acme\/[a-z2-7]{10}/)).output)
            let local = String(id.dropFirst(5))
            _ = try await server.cli(
                "HSET", "tg:1:{acme}:u:20261121", "\(local):search:a", "3", "\(local):search:c", "15",
                "\(local):-:d", "2", "zzzzzzzzzz:search:a", "100", "zzzzzzzzzz:search:c", "500")
            _ = try await server.cli(
                "HSET", "tg:1:{acme}:u:20261123", "\(local):search:a", "1", "\(local):search:c", "5",
                "\(local):say%20hi:a", "1000", "\(local):other:a", "7", "\(local):other:c", "7")
            try await body(tollgatectl, server, id, local)
        }
    }

    private let days = ["--from", "2026-11-21", "--to", "2026-11-23"]

    @Test func daysAreAllThere() async throws {
        try await withKey { tollgatectl, _, _, _ in
            equal(
                try await tollgatectl.run(["usage", "acme"] + days),
                .init(
                    code: 0,
                    output: """
                        DAY         ALLOWED  DENIED  COST
                        2026-11-21      103       2   515
                        2026-11-22        0       0     0
                        2026-11-23     1008       0    12
                        total          1111       2   527

                        """, errors: ""))
        }
    }

    @Test func allOrganizationsAreAddedUp() async throws {
        try await withKey { tollgatectl, server, id, local in
            _ = try await tollgatectl("org", "create", "globex")
            _ = try await server.cli(
                "HSET", "tg:1:{globex}:u:20261122", "bbbbbbbbbb:search:a", "500", "bbbbbbbbbb:search:c", "900")
            equal(
                try await tollgatectl.run(["usage", "--all", "--by", "key", "--top", "2"] + days),
                .init(
                    code: 0,
                    output: """
                        KEY                ALLOWED  DENIED  COST
                        \(id)       1011       2    27
                        globex/bbbbbbbbbb      500       0   900
                        total                 1611       2  1427

                        """, errors: ""))
            equal(
                try await tollgatectl.run(["usage", "--all", "--by", "org", "--json", "--top", "1"] + days),
                .init(
                    code: 0,
                    output: #"{"subject":{"kind":"all","id":null},"from":"2026-11-21","to":"2026-11-23","by":"org","#
                        + #""rows":[{"org":"acme","allowed":1111,"denied":2,"cost":527}],"#
                        + #""total":{"allowed":1611,"denied":2,"cost":1427}}"# + "\n", errors: ""))
            let byDay = try await tollgatectl.run(["usage", "--all"] + days).output
            #expect(byDay.contains("\n2026-11-22      500       0   900\n"), "\(byDay)")
        }
    }

    /// Of more keys than are kept, those with the most calls: none is let go that belongs among them.
    @Test func theTopIsExactHoweverManyThereAre() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            for number in 0..<30 {
                let org = "org\(number)"
                _ = try await tollgatectl("org", "create", org)
                // 100 keys each; the busiest of all are one of every tenth organization.
                _ = try await server.cli(
                    "EVAL",
                    """
                    for i = 1, 100 do
                      local calls = i == 50 and ARGV[1] % 10 == 0 and 100000 + ARGV[1] or i
                      redis.call('HSET', KEYS[1], string.format('k%09d:-:a', i), calls)
                    end
                    """, "1", "tg:1:{\(org)}:u:20261122", "\(number)")
            }
            let top = try await tollgatectl.run(["usage", "--all", "--by", "key", "--top", "3"] + days).output
            #expect(
                top.split(separator: "\n").dropFirst().prefix(3).compactMap { $0.split(separator: " ").first } == [
                    "org20/k000000050", "org10/k000000050", "org0/k000000050",
                ], "\(top)")
        }
    }

    @Test(arguments: [
        ["usage"], ["usage", "--all", "acme"], ["usage", "acme", "--by", "key", "--top", "0"],
        ["usage", "--all", "--top", "5"], ["usage", "--all", "--by", "key", "--top", "10001"],
    ])
    func whatIsNoQuestionIs64(arguments: [String]) async throws {
        #expect(try await Tollgatectl(url: "unix:/nonexistent").run(arguments).code == 64)
    }

    @Test func keysAndToolsComeByTheirCalls() async throws {
        try await withKey { tollgatectl, _, id, _ in
            equal(
                try await tollgatectl.run(["usage", "acme", "--by", "key"] + days),
                .init(
                    code: 0,
                    output: """
                        KEY              ALLOWED  DENIED  COST
                        \(id)     1011       2    27
                        acme/zzzzzzzzzz      100       0   500
                        total               1111       2   527

                        """, errors: ""))
            equal(
                try await tollgatectl.run(["usage", id, "--by=tool"] + days),
                .init(
                    code: 0,
                    output: """
                        TOOL    ALLOWED  DENIED  COST
                        say hi     1000       0     0
                        other         7       0     7
                        search        4       0    20
                        -             0       2     0
                        total      1011       2    27

                        """, errors: ""))
        }
    }

    @Test func programsReadJSON() async throws {
        try await withKey { tollgatectl, _, id, _ in
            equal(
                try await tollgatectl.run(["usage", id, "--by", "tool", "--json"] + days),
                .init(
                    code: 0,
                    output: """
                        {"subject":{"kind":"key","id":"\(id)"},"from":"2026-11-21","to":"2026-11-23","by":"tool","rows":[\
                        {"tool":"say hi","allowed":1000,"denied":0,"cost":0},\
                        {"tool":"other","allowed":7,"denied":0,"cost":7},\
                        {"tool":"search","allowed":4,"denied":0,"cost":20},\
                        {"tool":null,"allowed":0,"denied":2,"cost":0}],\
                        "total":{"allowed":1011,"denied":2,"cost":27}}

                        """, errors: ""))
            equal(
                try await tollgatectl("usage", "acme", "--json", "--from", "2026-11-23", "--to", "2026-11-23"),
                .init(
                    code: 0,
                    output: """
                        {"subject":{"kind":"org","id":"acme"},"from":"2026-11-23","to":"2026-11-23","by":"day","rows":[\
                        {"day":"2026-11-23","allowed":1008,"denied":0,"cost":12}],\
                        "total":{"allowed":1008,"denied":0,"cost":12}}

                        """, errors: ""))
        }
    }

    @Test func theLastSevenDaysAreWhatIsShown() async throws {
        try await withKey { tollgatectl, server, _, _ in
            func now() async throws -> Double {
                try #require(try await server.cli("TIME").split(separator: "\n").first.flatMap { Double($0) })
            }
            let before = try await now()
            let output = try await tollgatectl("usage", "acme").output
            let after = try await now()
            let days = output.split(separator: "\n").dropFirst().dropLast().compactMap {
                $0.split(separator: " ").first
            }
            // It may run over midnight.
            let expected = [before, after].map { seconds in
                (0..<7).map { day in
                    Date(timeIntervalSince1970: seconds - Double(6 - day) * 86_400).formatted(.iso8601).prefix(10)
                }
            }
            #expect(expected.contains(days), "\(days)")
        }
    }

    @Test func noneSuchIs66() async throws {
        try await withKey { tollgatectl, _, _, _ in
            equal(
                try await tollgatectl("usage", "nobody"),
                .init(
                    code: 66, output: "",
                    errors:
                        "tollgatectl: organization nobody does not exist; create it with: tollgatectl org create nobody\n"
                ))
            equal(
                try await tollgatectl("usage", "acme/aaaaaaaaaa"),
                .init(code: 66, output: "", errors: "tollgatectl: key acme/aaaaaaaaaa does not exist\n"))
        }
    }

    @Test func tooManyDaysAre65() async throws {
        try await withKey { tollgatectl, _, _, _ in
            equal(
                try await tollgatectl("usage", "acme", "--from", "1980-01-01", "--to", "2026-11-23"),
                .init(
                    code: 65, output: "", errors: "tollgatectl: --from: expected at most 3653 days before --to\n"))
        }
    }

    @Test(arguments: [
        ["usage"], ["usage", "Acme"], ["usage", "mcp_SecretSecret"], ["usage", "acme", "--from", "yesterday"],
        ["usage", "acme", "--from", "2026-02-30"], ["usage", "acme", "--by", "week"],
        ["usage", "acme", "--from", "2026-11-23", "--to", "2026-11-22"],
    ])
    func wrongUsageIs64(arguments: [String]) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock").run(arguments)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.hasPrefix("Error: "))
        #expect(!outcome.errors.contains("SecretSecret"))
    }
}
