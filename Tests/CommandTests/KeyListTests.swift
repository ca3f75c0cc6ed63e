// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite struct KeyListTests {
    /// Six keys of two organizations, each with another end, use and standing.
    private func withKeys(_ body: (Tollgatectl, RedisServer) async throws -> Void) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let now = try #require(Int(try await server.cli("TIME").split(separator: "\n")[0]))
            let day = 86_400
            let lines = [
                #""acme","name":"ends","created_by_user_id":"ada","expires_at":\#(now + 5 * day)"#,
                #""acme","name":"idle","created_by_user_id":"ada","created_at":\#(now - 300 * day),"last_used_at":\#(now - 200 * day)"#,
                #""acme","name":"busy","created_by_user_id":"bob","created_at":\#(now - 400 * day),"last_used_at":\#(now - day),"meta":{"plan":"golden","seats":"5"}"#,
                #""acme","name":"gone","created_by_user_id":"bob","is_active":false"#,
                #""globex","name":"past","expires_at":\#(now - day)"#,
                #""globex","name":"next","not_before":\#(now + day),"expires_at":\#(now + 20 * day),"scopes":["db:read"],"meta":{"plan":"gold","seats":5,"trial":false,"none":null,"in":{"eu":1},"a=b":"c"}"#,
            ]
            let file = lines.enumerated().map { number, line in
                #"{"key_hash":"\#(String(repeating: "\(number)", count: 64))","organization_id":\#(line)}"# + "\n"
            }
            try Data(file.joined().utf8).write(to: URL(filePath: "\(server.directory)/keys"))
            let imported = try await tollgatectl("key", "import", "--create-orgs", "\(server.directory)/keys")
            #expect(imported.output == "6 keys imported.\n", "\(imported)")
            try await body(tollgatectl, server)
        }
    }

    @Test(arguments: [
        ([], ["ends", "idle", "busy", "gone", "past", "next"]), (["--active"], ["ends", "idle", "busy"]),
        (["--status", "revoked", "--status", "expired"], ["gone", "past"]),
        (["--status", "not-yet-valid"], ["next"]), (["--user", "ada"], ["ends", "idle"]), (["--user", "a*"], []),
        (["--expiring", "10d"], ["ends"]), (["--expiring", "30d"], ["ends", "next"]), (["--unused", "90d"], ["idle"]),
        (["--unused", "1h"], ["idle", "busy"]), (["--where", "name=*s*", "--active"], ["ends", "busy"]),
        (["--where", "scope=db:*"], ["next"]), (["--where", "status=revoked", "--org", "acme"], ["gone"]),
        (["--where", "user=bob", "--where", "name=?usy"], ["busy"]), (["--org", "globex"], ["past", "next"]),
        (["--where", "meta.plan=gold"], ["next"]), (["--where", "meta.plan=gold*"], ["busy", "next"]),
        (["--where", "meta.seats=5"], ["busy", "next"]), (["--where", "meta.trial=false"], ["next"]),
        (["--where", "meta.none=*"], []), (["--where", "meta.in=*"], []), (["--where", "meta.Plan=*"], []),
        (["--where", "meta.plan=*", "--where", "user=bob"], ["busy"]),
    ])
    func conditionsAreAllMet(options: [String], names: [String]) async throws {
        try await withKeys { tollgatectl, _ in
            let outcome = try await tollgatectl.run(["key", "list", "--json"] + options)
            #expect((outcome.code, outcome.errors) == (0, ""))
            let found = outcome.output.matches(of: /"name":"(\w+)"/).map { String($0.1) }
            #expect(Set(found) == Set(names) && found.count == names.count, "\(found)")
        }
    }

    @Test(arguments: [
        (["--sort", "name"], ["busy", "ends", "gone", "idle", "next", "past"]),
        (["--sort", "name", "--reverse", "--most", "2"], ["past", "next"]),
        (["--sort", "used", "--active"], ["ends", "idle", "busy"]),
        (["--sort", "created", "--most", "2"], ["busy", "idle"]),
        (
            ["--sort", "expires", "--most", "3", "--status", "active", "--status", "not-yet-valid"],
            ["ends", "next", "*"]
        ),
    ])
    func keysAreSortedOverAllOrganizations(options: [String], names: [String]) async throws {
        try await withKeys { tollgatectl, _ in
            let outcome = try await tollgatectl.run(["key", "list", "--json"] + options)
            let found = outcome.output.matches(of: /"name":"(\w+)"/).map { String($0.1) }
            #expect(found.count == names.count && zip(found, names).allSatisfy { $0 == $1 || $1 == "*" }, "\(found)")
            #expect(outcome.errors.isEmpty == !options.contains("--most"), "\(outcome.errors)")
        }
    }

    @Test func theRestIsTold() async throws {
        try await withKeys { tollgatectl, _ in
            let outcome = try await tollgatectl("key", "list", "--sort", "id", "--most", "2")
            #expect(outcome.errors == "The first 2 of 6 keys; more with --most.\n")
            #expect(outcome.output.split(separator: "\n").count == 3)
            let few = try await tollgatectl("key", "list", "--most", "2")
            #expect((few.errors, few.output.split(separator: "\n").count) == ("", 3))
        }
    }

    /// Of a key nothing is shown but how it begins, where that is known.
    @Test func aHintShowsNothingOfTheKey() async throws {
        try await withKeys { tollgatectl, _ in
            _ = try await tollgatectl("org", "create", "initech")
            let issued = try await tollgatectl("key", "issue", "--org", "initech", "--name", "a").output
            let secret = issued.prefix { $0 != "\n" }
            let listed = try await tollgatectl("key", "list").output
            let lines = listed.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(lines[0].suffix(3) == ["LAST", "USED", "KEY"])
            for line in lines.dropFirst() {
                let local = line[0].split(separator: "/")[1]
                #expect(line.last.map(String.init) == (line[0].hasPrefix("initech") ? "mcp_…\(local)" : "…\(local)"))
            }
            #expect(!listed.contains(secret.dropFirst(4).prefix(8)))
        }
    }

    @Test(arguments: [
        (["--sort", "nam"], "did you mean name?"), (["--most", "0"], "expected a number from 1 to 100000"),
        (["--expiring", "soon"], "expected a time such as 30d"), (["--status", "alive"], "expected active, revoked"),
        (["--reverse"], "give --sort too"),
        (["--where", "a=b"], "no field a; there are org, user, name, status, scope, check, subject, meta.NAME"),
        (["--where", "meta.=b"], "no field meta."), (["--where", "plan=gold"], "no field plan"),
        (["--where", "usre=ada"], "no field usre; did you mean user?"),
    ])
    func whatIsNotClearIsRefused(arguments: [String], said: String) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock").run(["key", "list"] + arguments)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.contains(said), "\(outcome.errors)")
    }

    @Test func whereNothingMatchesThatIsSaid() async throws {
        try await withKeys { tollgatectl, _ in
            let outcome = try await tollgatectl("key", "list", "--user", "nobody")
            #expect(outcome == .init(code: 0, output: "", errors: "No key matches.\n"))
        }
    }
}
