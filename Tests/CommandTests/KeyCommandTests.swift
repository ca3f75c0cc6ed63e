// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What `key issue --json` prints.
private struct Issued: Decodable {
    var key: String
    var id: String
    var org: String
    var name: String
    var created_at: String
    var expires_at: String?
}

@Suite struct KeyCommandTests {
    private func withOrganization(
        _ options: RedisServer.Options = .init(), _ body: (Tollgatectl, RedisServer) async throws -> Void
    ) async throws {
        try await RedisServer.run(options) { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let created = try await tollgatectl("org", "create", "acme")
            let expected = Tollgatectl.Outcome(
                code: 0,
                output: "Organization acme created. Next: tollgatectl key issue --org acme --name laptop\n", errors: "")
            #expect(created == expected)
            try await body(tollgatectl, server)
        }
    }

    private func issue(_ outcome: Tollgatectl.Outcome) throws -> Issued {
        #expect(outcome.code == 0)
        return try JSONDecoder().decode(Issued.self, from: Data(outcome.output.utf8))
    }

    @Test func aKeyIsShownOnce() async throws {
        try await withOrganization { tollgatectl, server in
            let outcome = try await tollgatectl("key", "issue", "--org", "acme", "--name", "laptop")
            let id = try await server.cli("ZRANGE", "tg:1:{acme}:keys", "0", "-1")
            let key = outcome.output.prefix(while: { $0 != "\n" })
            #expect(key.wholeMatch(of: /mcp_[A-Za-z0-9_-]{43}/) != nil)
            #expect(
                outcome.output == """
                    \(key)

                    That is key acme/\(id), "laptop". It is shown only now: store it where it is safe.
                    Expires: never. Send it as X-API-Key, or as Authorization: Bearer.

                    """)
            #expect((outcome.code, outcome.errors) == (0, ""))
        }
    }

    @Test func jsonHasAllThatProgramsNeed() async throws {
        try await withOrganization { tollgatectl, _ in
            let outcome = try await tollgatectl(
                "key", "issue", "--org", "acme", "--name", "CI \"eins\"", "--expires", "2100-01-01T00:00:00Z", "--json")
            let issued = try issue(outcome)
            #expect(
                outcome.output == """
                    {"key":"\(issued.key)","id":"\(issued.id)","org":"acme","name":"CI \\"eins\\"",\
                    "created_at":"\(issued.created_at)","expires_at":"2100-01-01T00:00:00Z"}

                    """)
            #expect(issued.created_at.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
            let endless = try await tollgatectl("key", "issue", "--org", "acme", "--name", "b", "--json")
            #expect(endless.output.hasSuffix("\"expires_at\":null}\n"))
        }
    }

    @Test func aKeyMayCallSomeToolsAlone() async throws {
        try await withOrganization { tollgatectl, server in
            let outcome = try await tollgatectl(
                "key", "issue", "--org", "acme", "--name", "reader", "--allow-tool", "search", "--allow-tool", "db_*",
                "--deny-tool", "db_drop", "--json")
            let issued = try issue(outcome)
            let record = "tg:1:{acme}:k:\(issued.id.dropFirst(5))"
            #expect(try await server.cli("HGET", record, "tools") == "search db_* !db_drop")
            let shown = try await tollgatectl("key", "show", issued.id).output
            #expect(shown.contains("\nTools:      search, db_* but db_drop\n"), "\(shown)")
            let tools = #""tools":{"allow":["search","db_*"],"deny":["db_drop"]},"#
            for arguments in [["key", "show", issued.id, "--json"], ["key", "list", "--json"]] {
                let json = try await tollgatectl.run(arguments).output
                #expect(json.contains(tools), "\(json)")
            }
            let verified = try await tollgatectl.shell("printf %s \"$0\" | tollgatectl key verify --json", issued.key)
            #expect(verified.output.contains(tools), "\(verified)")
        }
    }

    @Test(arguments: [
        (["--deny-tool", "db_*"], "!db_*", "Tools:      all but db_*\n"),
        (["--deny-tool", "*"], "!*", "Tools:      none\n"),
        (["--allow-tool", "名前"], "名前", "Tools:      名前\n"),
    ])
    func whichToolsIsShown(options: [String], field: String, line: String) async throws {
        try await withOrganization { tollgatectl, server in
            let issued = try issue(
                await tollgatectl.run(["key", "issue", "--org", "acme", "--name", "a", "--json"] + options))
            #expect(try await server.cli("HGET", "tg:1:{acme}:k:\(issued.id.dropFirst(5))", "tools") == field)
            let shown = try await tollgatectl("key", "show", issued.id).output
            #expect(shown.contains(line), "\(shown)")
        }
    }

    /// A record that somebody has written by hand, and not well: it permits nothing, and says so.
    @Test func toolsThatCannotBeReadAreNone() async throws {
        try await withOrganization { tollgatectl, server in
            let issued = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json"))
            let record = "tg:1:{acme}:k:\(issued.id.dropFirst(5))"
            #expect(try await server.cli("HEXISTS", record, "tools") == "0")
            let without = try await tollgatectl("key", "show", issued.id).output
            #expect(!without.contains("Tools:"))
            _ = try await server.cli("HSET", record, "tools", "search  !")
            let shown = try await tollgatectl("key", "show", issued.id).output
            #expect(shown.contains("Tools:      none\n"), "\(shown)")
            let json = try await tollgatectl("key", "show", issued.id, "--json").output
            #expect(json.contains(#""tools":{"allow":[],"deny":["*"]},"#), "\(json)")
        }
    }

    @Test func aPatternThatIsNoneIsRefusedWithTheReason() async throws {
        for (option, value) in [("--allow-tool", "a b"), ("--deny-tool", "!db_*")] {
            let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock")(
                "key", "issue", "--org", "acme", "--name", "a", option, value)
            #expect((outcome.code, outcome.output) == (64, ""))
            #expect(
                outcome.errors.hasPrefix(
                    "Error: The value '\(value)' is invalid for '\(option) <pattern>': expected a tool's name or a pattern of 1 to 128 characters, without spaces and no ! before it\n"
                ), "\(outcome.errors)")
        }
    }

    @Test func redisNeverSeesTheKeyItself() async throws {
        // Every command slower than 0 µs, that is every command with its arguments, goes into the slow log.
        let everything = ["slowlog-log-slower-than 0", "slowlog-max-len 10000"]
        try await withOrganization(.init(configuration: everything)) { tollgatectl, server in
            let issued = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "laptop", "--json"))
            let log = try await server.cli("SLOWLOG", "GET", "-1")
            #expect(log.localizedCaseInsensitiveContains("evalsha"))
            #expect(!log.contains(issued.key.dropFirst(4)))
            let dump = try await server.cli(
                "EVAL",
                "local all = {} for _, k in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = redis.call('DUMP', k) end return all",
                "0")
            #expect(!dump.contains(issued.key.dropFirst(4)))
        }
    }

    @Test func theSixthActiveKeyIsRefused() async throws {
        try await withOrganization { tollgatectl, _ in
            for number in 1...5 {
                let firstOutcome = try await tollgatectl("key", "issue", "--org", "acme", "--name", "k\(number)")
                #expect(firstOutcome.code == 0)
            }
            let outcome = try await tollgatectl("key", "issue", "--org", "acme", "--name", "k6")
            let expected = Tollgatectl.Outcome(
                code: 73, output: "",
                errors: """
                    tollgatectl: organization acme has 5 active keys, the most it may have; revoke one with: \
                    tollgatectl key revoke ID; or let it have more with: tollgatectl org set acme --max-active-keys 6

                    """)
            #expect(outcome == expected)
        }
    }

    @Test func revokingTellsWhetherItChangedAnything() async throws {
        try await withOrganization { tollgatectl, _ in
            let id = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json")).id
            let first = try await tollgatectl("key", "revoke", id)
            #expect(first == .init(code: 0, output: "Key \(id) revoked.\n", errors: ""))
            let second = try await tollgatectl("key", "revoke", id)
            #expect(second == .init(code: 0, output: "Key \(id) was revoked before.\n", errors: ""))
            let third = try await tollgatectl("key", "revoke", id, "--json")
            #expect(third == .init(code: 0, output: "{\"id\":\"\(id)\",\"revoked\":false}\n", errors: ""))
        }
    }

    @Test func severalAreRevokedPastOneThatIsNotThere() async throws {
        try await withOrganization { tollgatectl, server in
            let one = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json")).id
            let two = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "b", "--json")).id
            let asked = try await tollgatectl("key", "revoke", one, two)
            #expect(asked.code == 64 && asked.output.isEmpty)
            #expect(
                asked.errors.hasPrefix("Error: 2 keys would be revoked; give --yes where nobody can be asked\n"))
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "2")

            let outcome = try await tollgatectl("key", "revoke", "--yes", one, "acme/aaaaaaaaaa", two)
            let expected = Tollgatectl.Outcome(
                code: 66, output: "Key \(one) revoked.\nKey \(two) revoked.\n",
                errors: "tollgatectl: key acme/aaaaaaaaaa does not exist\n")
            #expect(outcome == expected)
        }
    }

    @Test(arguments: [("y", 0, "0"), ("n", 73, "2"), ("", 73, "2")])
    func aTerminalIsAskedBeforeSeveralAreRevoked(answer: String, code: Int32, left: String) async throws {
        try await withOrganization { tollgatectl, server in
            let one = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json")).id
            let two = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "b", "--json")).id
            let outcome = try await tollgatectl.shell(
                #"echo "$0" | script -qec "tollgatectl key revoke $1 $2" /dev/null"#, answer, one, two)
            #expect(outcome.code == code)
            #expect(outcome.output.contains("Revoke 2 keys? [y/N] "))
            #expect(outcome.output.contains("nothing was revoked") == (code != 0))
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == left)
        }
    }

    /// Nobody knows a key that nobody saw, so its owner is told which one to revoke.
    @Test func aKeyThatCannotBeShownIsNamed() async throws {
        try await withOrganization { tollgatectl, server in
            let outcome = try await tollgatectl.shell(
                #"exec tollgatectl key issue --org acme --name a > /dev/full"#)
            let id = try await server.cli("ZRANGE", "tg:1:{acme}:keys", "0", "-1")
            let expected = Tollgatectl.Outcome(
                code: 74, output: "",
                errors: """
                    tollgatectl: key acme/\(id) was issued but could not be shown (No space left on device); revoke it \
                    with: tollgatectl key revoke acme/\(id)

                    """)
            #expect(outcome == expected)
        }
    }

    /// What can't be said must not keep the others alive.
    @Test func allAreRevokedThoughNobodyCanBeTold() async throws {
        try await withOrganization { tollgatectl, server in
            let one = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json")).id
            let two = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "b", "--json")).id
            let outcome = try await tollgatectl.shell(
                #"exec tollgatectl key revoke --yes "$0" "$1" > /dev/full"#, one, two)
            #expect(outcome.code == 74)
            #expect(
                outcome.errors == "tollgatectl: it was done, but nobody could be told (No space left on device)\n")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "0")
        }
    }

    /// A pipe whose reader is gone is no reason to crash: what is left to tell is the code.
    @Test func aMessageThatNobodyReadsChangesNothing() async throws {
        try await withOrganization { tollgatectl, _ in
            let outcome = try await tollgatectl.shell(
                """
                folder=$(mktemp -d); mkfifo "$folder/pipe"
                exec 3<>"$folder/pipe" 4>"$folder/pipe" 3>&-; rm -r "$folder"
                tollgatectl key revoke acme/aaaaaaaaaa 2>&4; echo $?
                tollgatectl key issue --org acme --name a 2>&4 >&4; echo $?
                """)
            #expect(outcome == .init(code: 0, output: "66\n74\n", errors: ""))
        }
    }

    /// Whoever closes the pipe of an answer has seen enough, as `grep -q` does. On a full disk nobody has seen it.
    @Test func anAnswerThatNobodyReadsIsNoFailure() async throws {
        try await withOrganization { tollgatectl, _ in
            let id = try issue(await tollgatectl("key", "issue", "--org", "acme", "--name", "a", "--json")).id
            let outcome = try await tollgatectl.shell(
                """
                folder=$(mktemp -d); mkfifo "$folder/pipe"
                exec 3<>"$folder/pipe" 4>"$folder/pipe" 3>&-; rm -r "$folder"
                for verb in "key show $0" "org show acme" "org list" "database show"; do
                    tollgatectl $verb >&4 || echo "$verb: $?"
                done
                tollgatectl key show "$0" > /dev/full; echo $?
                """, id)
            #expect(
                outcome
                    == .init(
                        code: 0, output: "74\n",
                        errors: "tollgatectl: the answer could not be written (No space left on device)\n"))
        }
    }

    @Test func theNamespaceOfAConfigurationIsTaken() async throws {
        try await withOrganization { tollgatectl, server in
            let file = "\(server.directory)/tollgate.yaml"
            try Data("namespace: prod\nkeys: {prefix: acme_, accept: [acme_], max_active_per_org: 1}\n".utf8)
                .write(to: URL(filePath: file))
            let arguments = ["key", "issue", "--org", "acme", "--name", "a", "--config", file, "--json"]
            // The organization is in tg.
            #expect(try await tollgatectl.run(arguments).code == 66)
            _ = try await tollgatectl("--namespace", "prod", "org", "create", "acme")
            let issued = try issue(await tollgatectl.run(arguments))
            #expect(issued.key.hasPrefix("acme_"))
            #expect(try await server.cli("ZCARD", "prod:1:{acme}:active") == "1")
            #expect(try await tollgatectl.run(arguments).code == 73)
            // What is said on the command line has the last word.
            #expect(try issue(await tollgatectl.run(arguments + ["--namespace", "tg"])).key.hasPrefix("acme_"))
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "1")
        }
    }

    @Test func limitsAreCheckedAgainstAConfiguration() async throws {
        try await withOrganization { tollgatectl, server in
            let file = "\(server.directory)/tollgate.yaml"
            try Data(
                """
                policies:
                  - {name: search, per: key, limit: 10/10s}
                  - {name: org, per: org, limit: 20/10s}
                """.utf8
            ).write(to: URL(filePath: file))
            func issue(_ limit: String) async throws -> Tollgatectl.Outcome {
                try await tollgatectl(
                    "key", "issue", "--org", "acme", "--name", "a", "--limit", limit, "--config", file)
            }
            let firstOutcome = try await issue("search=100/10s")
            #expect(firstOutcome.code == 0)
            let unknown = try await issue("serach=100/10s")
            #expect((unknown.code, unknown.output) == (65, ""))
            #expect(
                unknown.errors.hasPrefix(
                    "tollgatectl: --limit: no policy serach in the configuration; did you mean search?\n"))
            let secondOutcome = try await issue("org=100/10s")
            #expect(
                secondOutcome
                    == .init(
                        code: 65, output: "",
                        errors:
                            "tollgatectl: --limit: policy org is per org, a key can override only those per key\n"))

            let unchecked = try await tollgatectl(
                "key", "issue", "--org", "acme", "--name", "b", "--limit", "other=1/1s", "--json")
            #expect(unchecked.code == 0)
            #expect(
                unchecked.errors == """
                    tollgatectl: warning: --limit is not checked: no sidecar has published its policies; give --config FILE \
                    to check it

                    """)
        }
    }
}
