// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite struct OrganizationCommandTests {
    private func withOrganization(
        _ options: String..., body: (Tollgatectl, RedisServer) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            #expect(try await tollgatectl.run(["org", "create", "acme"] + options).code == 0)
            try await body(tollgatectl, server)
        }
    }

    @Test func itsMostActiveKeysAreChanged() async throws {
        try await withOrganization("--max-active-keys", "1") { tollgatectl, server in
            func may(_ count: String) async throws -> String {
                try await tollgatectl("org", "set", "acme", "--max-active-keys", count, "--as", "ada").output
            }
            #expect(try await may("50") == "Organization acme may have 50 active keys now; it has 0.\n")
            #expect(try await server.cli("HGET", "tg:1:{acme}", "max_active_keys") == "50")
            #expect(try await tollgatectl("org", "show", "acme").output.contains("\nActive keys:  0, at most 50\n"))
            #expect(try await may("0") == "Organization acme may have 0 active keys now; it has 0.\n")
            #expect(try await tollgatectl("org", "show", "acme").output.contains("\nActive keys:  0, at most 0\n"))
            #expect(try await tollgatectl("key", "issue", "--org", "acme", "--name", "a").code == 73)
            #expect(
                try await may("default")
                    == "Organization acme may have as many active keys as the configuration says now; it has 0.\n")
            #expect(try await server.cli("HEXISTS", "tg:1:{acme}", "max_active_keys") == "0")
            let json = try await tollgatectl("org", "set", "acme", "--max-active-keys", "7", "--json")
            #expect(json == .init(code: 0, output: #"{"org":"acme","max_active_keys":7}"# + "\n", errors: ""))

            let audit = try await tollgatectl("audit", "acme", "--json").output.split(separator: "\n")
            let details = audit.filter { $0.contains(#""who":"ada","what":"org.set","target":"acme""#) }
                .compactMap { $0.firstMatch(of: /"detail":"([^"]*)"/)?.1 }
            #expect(details == ["max_active_keys 50", "max_active_keys 0", "max_active_keys default"])
        }
    }

    @Test(arguments: [
        ([], ""), (["--max-active-keys", "1"], "max_active_keys 1"), (["--plan", "pro"], "plan pro"),
        (["--plan", "pro", "--max-active-keys", "0"], "plan pro, max_active_keys 0"),
    ])
    func theAuditTrailTellsWhatItBeganWith(options: [String], detail: String) async throws {
        try await withOrganization { tollgatectl, _ in
            #expect(try await tollgatectl("plan", "set", "pro", "org=1/s").code == 0)
            #expect(try await tollgatectl.run(["org", "create", "bravo"] + options).code == 0)
            let audit = try await tollgatectl("audit", "bravo", "--json").output
            #expect(audit.contains(#""what":"org.create","target":"bravo","detail":"\#(detail)""#), "\(audit)")
        }
    }

    @Test(arguments: [
        [], ["--max-active-keys", "-1"], ["--max-active-keys", "1000001"], ["--max-active-keys", "many"],
    ])
    func whatIsNoNumberOfKeysIs64(options: [String]) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent").run(["org", "set", "acme"] + options)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.contains("\nUsage: tollgatectl org set <name> [--max-active-keys <count>]"))
    }

    @Test func itsKeysLiveNoLonger() async throws {
        try await withOrganization("--max-lifetime", "36h") { tollgatectl, server in
            #expect(try await server.cli("HGET", "tg:1:{acme}", "max_lifetime") == "129600")
            #expect(try await tollgatectl("org", "show", "acme").output.contains("\nKeys live:    at most 36h\n"))
            let refused = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--expires", "37h")
            #expect(refused.code == 73 && refused.errors.contains("live at most 36h"), "\(refused)")
            func set(_ time: String) async throws -> String {
                try await tollgatectl("org", "set", "acme", "--max-lifetime", time).output
            }
            #expect(try await set("90d") == "Keys of organization acme live at most 90d, from the next one on.\n")
            #expect(
                try await set("none")
                    == "Keys of organization acme live for as long as they are issued for, from the next one on.\n")
            #expect(try await server.cli("HEXISTS", "tg:1:{acme}", "max_lifetime") == "0")
            for time in ["0d", "90", "forever", "36501d", "-1d"] {
                #expect(try await tollgatectl("org", "set", "acme", "--max-lifetime", time).code == 64, "\(time)")
            }
        }
    }

    @Test func whatIsNotedIsShown() async throws {
        try await withOrganization("--meta", #"{ "tier": "gold" }"#) { tollgatectl, server in
            #expect(try await server.cli("HGET", "tg:1:{acme}", "meta") == #"{"tier":"gold"}"#)
            #expect(
                try await tollgatectl("org", "show", "acme").output.contains("\nMeta:         {\"tier\":\"gold\"}\n"))
            #expect(try await tollgatectl("org", "list", "--json").output.contains(#""meta":{"tier":"gold"}"#))
            let both = try await tollgatectl(
                "org", "set", "acme", "--meta", #"{"a":[1, 2]}"#, "--max-lifetime", "1d", "--json")
            #expect(both.output == #"{"org":"acme","max_lifetime_seconds":86400,"meta":{"a":[1,2]}}"# + "\n")
            #expect(
                try await tollgatectl("org", "set", "acme", "--meta", "{}").output
                    == "Organization acme has no meta now.\n")
            #expect(try await tollgatectl("org", "show", "acme", "--json").output.contains(#""meta":null"#))
            // As somebody else may have written it.
            _ = try await server.cli("HSET", "tg:1:{acme}", "meta", "gold")
            #expect(try await tollgatectl("org", "show", "acme", "--json").output.contains(#""meta":"gold""#))
        }
    }

    @Test func numbersAndNounsAgree() async throws {
        try await withOrganization { tollgatectl, server in
            _ = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a")
            let made = try await tollgatectl("plan", "set", "pro", "org=1/s").output
            #expect(made == "Plan pro made: 0 organizations are on it.\n")
            _ = try await tollgatectl("org", "plan", "acme", "pro")
            let changed = try await tollgatectl("plan", "set", "pro", "org=2/s").output
            #expect(changed == "Plan pro changed: 1 organization is on it.\n")
            let inUse = try await tollgatectl("plan", "delete", "pro")
            #expect(
                inUse.errors == """
                    tollgatectl: 1 organization is on plan pro (acme); move it with: tollgatectl org plan NAME PLAN

                    """)
            _ = try await tollgatectl("org", "create", "bravo", "--plan", "pro")
            #expect(
                try await tollgatectl("plan", "delete", "pro").errors.contains(
                    "2 organizations are on plan pro (acme, bravo); move them with: tollgatectl org plan NAME PLAN"))

            // Nobody can be asked, and the usage is that of the verb.
            let asked = try await tollgatectl("org", "delete", "acme")
            #expect((asked.code, asked.output) == (64, ""))
            #expect(
                asked.errors == """
                    Error: organization acme with 1 key would be deleted; give --yes where nobody can be asked
                    Usage: tollgatectl org delete <name> [--yes] [--json] [--redis <url>] [--namespace <name>] [--config <file>] \
                    [--as <who>]
                      See 'tollgatectl org delete --help' for more information.

                    """)
            let deleted = try await tollgatectl("org", "delete", "acme", "--yes")
            #expect(deleted == .init(code: 0, output: "Organization acme deleted, and its 1 key.\n", errors: ""))
        }
    }

    /// Services have no USER, and a container no name for its user.
    @Test func whoHasNoNameInTheEnvironmentHasThatOfTheUser() async throws {
        try await withOrganization { tollgatectl, _ in
            let name = try await tollgatectl.shell("id -un").output.trimmingCharacters(in: .whitespacesAndNewlines)
            _ = try await tollgatectl.shell("unset USER SUDO_USER TOLLGATE_USER; exec tollgatectl org suspend acme")
            let audit = try await tollgatectl("audit", "acme", "--most", "1", "--json").output
            #expect(audit.contains(#""who":"\#(name)@"#), "\(audit)")
        }
    }

    /// A wrong letter in a name: the nearest that there is, and each mistake once.
    @Test func theNearestNameIsSaid() async throws {
        try await withOrganization { tollgatectl, server in
            let now = try #require(Int(try await server.cli("TIME").prefix { $0 != "\n" }))
            let policies = """
                {"policies":[{"name":"search","per":"key","limit":"2/d"},{"name":"org","per":"org","limit":"9/d"},\
                {"name":"address","per":"address","limit":"9/d"}]}
                """
            for number in 1...2 {
                _ = try await server.cli(
                    "SET", "tg:1:{:m}:policies:h\(number)", policies + String(repeating: " ", count: number))
                _ = try await server.cli("ZADD", "tg:1:{:m}:sidecars", "\(now)", "web-\(number):h\(number)")
            }
            let outcome = try await tollgatectl("org", "limit", "acme", "serch=100/10s", "org=1/s", "nothing=1/s")
            #expect((outcome.code, outcome.output) == (65, ""))
            let whom = "the policies of sidecar web-\(outcome.errors.contains("web-1") ? 1 : 2)"
            #expect(
                outcome.errors == """
                    tollgatectl: policy=limit: no policy serch in \(whom); did you mean search?
                    tollgatectl: policy=limit: no policy nothing in \(whom); there are search, org

                    """)
            for (arguments, message) in [
                (
                    ["quota", "reset", "acme", "ogr"],
                    "tollgatectl: no policy ogr counts organization acme; did you mean org?\n"
                ),
                (
                    ["quota", "grant", "acme", "search", "1"],
                    "tollgatectl: no policy search counts organization acme; there is org\n"
                ),
            ] {
                equal(try await tollgatectl.run(arguments), .init(code: 65, output: "", errors: message))
            }
        }
    }

    @Test(arguments: [
        (["org", "limit", "acme", "Org=1/s"], "(did you mean org=1/s?)"),
        (["org", "show", "Acme"], "expected 1 to 40 of a-z, 0-9, _ and - (did you mean acme?)"),
        (["org", "plan", "acme", "Pro"], "beginning with a letter (did you mean pro?)"),
        (["quota", "reset", "acme", "Org"], "<policy>: expected a policy's name such as org (did you mean org?)"),
        (["quota", "grant", "acme", "Org", "1"], "<policy>: expected a policy's name such as org (did you mean org?)"),
    ])
    func anUpperCaseLetterIsMended(arguments: [String], hint: String) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent").run(arguments)
        #expect(outcome.code == 64)
        #expect(outcome.errors.split(separator: "\n")[0].hasSuffix(hint), "\(outcome.errors)")
    }

    /// The one that works on for its grace ends before its expiry.
    @Test func aReplacedKeyShowsItsEarlierEnd() async throws {
        try await withOrganization { tollgatectl, server in
            let issued = try await tollgatectl(
                "key", "issue", "--org", "acme", "--name", "a", "--expires", "2100-01-01T00:00:00Z", "--json"
            ).output
            let id = String(try #require(issued.firstMatch(of: /acme\/[a-z2-7]{10}/)).output)
            _ = try await tollgatectl("key", "rotate", id, "--grace", "2h")
            // Both may have been made in one second, and then come in the order of their ids.
            let list = try await tollgatectl("key", "list").output.split(separator: "\n").dropFirst()
            let (old, new) = (list.filter { $0.hasPrefix(id) }, list.filter { !$0.hasPrefix(id) })
            #expect(old.count == 1 && old[0].firstMatch(of: /[ ]in [12] h, replaced[ ]/) != nil, "\(list)")
            #expect(new.count == 1 && new[0].contains("  2100-01-01  "), "\(list)")
            let ends = try #require(Int(try await server.cli("HGET", "tg:1:{acme}:k:\(id.dropFirst(5))", "revoked_at")))
            let text = Date(timeIntervalSince1970: TimeInterval(ends)).formatted(.iso8601)
            let json = try await tollgatectl("key", "show", id, "--json").output
            #expect(json.contains(#""expires_at":"2100-01-01T00:00:00Z","ends_at":"\#(text)","revoked_at":"\#(text)""#))
            let shown = try await tollgatectl("key", "show", id).output
            #expect(shown.firstMatch(of: /\nExpires: +in [12] h, replaced\n/) != nil, "\(shown)")
            #expect(shown.contains("\nWorks until: \(text)\n"), "\(shown)")
            _ = try await tollgatectl("key", "revoke", id)
            let revoked = try await tollgatectl("key", "list").output
            #expect(revoked.contains("  revoked  ") && !revoked.contains("replaced"), "\(revoked)")
        }
    }
}
