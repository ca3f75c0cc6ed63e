// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite struct KeyImportTests {
    private func withOrganization(_ body: (Tollgatectl, RedisServer) async throws -> Void) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            #expect(try await tollgatectl("org", "create", "acme").code == 0)
            try await body(tollgatectl, server)
        }
    }

    /// - Parameter text: the file; its lines are told of by their numbers.
    private func run(
        _ tollgatectl: Tollgatectl, _ text: String, _ options: String..., in server: RedisServer
    ) async throws -> Tollgatectl.Outcome {
        let file = "\(server.directory)/keys"
        try Data(text.utf8).write(to: URL(filePath: file))
        return try await tollgatectl.run(["key", "import", file] + options)
    }

    private func hash(_ digit: Character) -> String { String(repeating: digit, count: 64) }

    private func line(_ digit: Character, org: String = "acme", _ rest: String = "") -> String {
        #"{"organization_id":"\#(org)","key_hash":"\#(hash(digit))"\#(rest)}"# + "\n"
    }

    @Test func aKeyIsWhatItsLineSays() async throws {
        try await withOrganization { tollgatectl, server in
            let outcome = try await run(
                tollgatectl,
                """
                {"organization_id":"acme","id":"acme/7h3kq2mzxb","key_hash":"\(hash("a"))","name":"ci",\
                "created_by_user_id":"ada","is_active":true,"created_at":"2026-01-02T03:04:05Z",\
                "expires_at":4000000000,"scopes":["a:b","c"],"limits":{"search":"100/10s"},"tools":"db_* !db_drop",\
                "allow_from":["10.0.0.0/8","unix"]}

                """, in: server)
            #expect(outcome == .init(code: 0, output: "1 key imported.\n", errors: ""))
            let record = try await server.cli("HGETALL", "tg:1:{acme}:k:7h3kq2mzxb").split(separator: "\n")
            let fields = Dictionary(
                uniqueKeysWithValues: stride(from: 0, to: record.count - 1, by: 2).map { (record[$0], record[$0 + 1]) })
            #expect(
                fields == [
                    "organization_id": "acme", "key_hash": "\(hash("a"))", "created_by_user_id": "ada",
                    "is_active": "1", "name": "ci", "subject": "7h3kq2mzxb", "created_at": "1767323045",
                    "expires_at": "4000000000", "scopes": "a:b c", "limits": "search=100/10s",
                    "tools": "db_* !db_drop", "allow_from": "10.0.0.0/8 unix",
                ])
            #expect(try await server.cli("GET", "tg:1:cred:\(hash("a"))") == "acme 7h3kq2mzxb")
            #expect(
                try await server.cli("ZRANGE", "tg:1:{acme}:active", "0", "-1", "WITHSCORES")
                    == "7h3kq2mzxb\n4000000000")
            #expect(try await server.cli("EXISTS", "tg:1:{acme}:unfinished") == "0")
            #expect(try await tollgatectl("audit", "acme").output.contains("key.import  acme/7h3kq2mzxb  ci"))
        }
    }

    @Test func csvHasHeadingsAndWhatDatabasesPrint() async throws {
        try await withOrganization { tollgatectl, server in
            let text =
                "\u{FEFF}organization_id,key_hash,is_active,name,last_seen,expires_at\r\n"
                + "acme,\(hash("a")),t,\"a, \"\"b\"\"\",x,2099-01-02 03:04:05.5+00\r\n"
                + "acme,\(hash("b")),f,,y,\r\n\r\n"
            let refused = try await run(tollgatectl, text, in: server)
            #expect((refused.code, refused.output) == (65, ""))
            #expect(refused.errors.hasPrefix("tollgatectl: line 1: there is no column last_seen"), "\(refused)")
            let outcome = try await run(tollgatectl, text, "--ignore", "last_seen", in: server)
            #expect(outcome == .init(code: 0, output: "2 keys imported.\n", errors: ""))
            let listed = try await tollgatectl.shell(
                "tollgatectl key list --json | jq -r '[.name, .status, .expires_at] | @tsv' | sort")
            #expect(listed.output == "a, \"b\"\tactive\t2099-01-02T03:04:06Z\nimported\trevoked\t\n")
        }
    }

    @Test(arguments: [
        (#"{"organization_id":"Acme"}"#, "organization_id: expected 1 to 40 of a-z, 0-9, _ and -"),
        (#"{"organization_id":"acme","key_hash":"mcp_x"}"#, "key_hash: expected SHA-256 of the key"),
        ("@,\"name\":\"\u{7F}\"}", "name: expected a line of 1 to 100 characters"),
        (#"@,"name":5}"#, "name: expected a text"), (#"@,"is_active":"maybe"}"#, "is_active: expected true or false"),
        (#"@,"expires_at":"2027-02-30T00:00:00Z"}"#, "expires_at: expected a moment such as"),
        (#"@,"expires_at":"2027-02-20"}"#, "expires_at: expected a moment such as"),
        (#"@,"scopes":["a b"]}"#, "scopes: expected a list of texts without spaces"),
        (#"@,"scopes":"a\\"}"#, "scopes: expected scopes such as"),
        (#"@,"limits":"search=much"}"#, "limits: expected limits such as"),
        (#"@,"tools":"!"}"#, "tools: expected names or patterns"),
        (#"@,"allow_from":"10.0.0.0/33"}"#, "allow_from: expected networks"),
        (#"@,"id":"globex/7h3kq2mzxb"}"#, "id: expected an id such as acme/7h3kq2mzxb"),
        (#"@,"subject":"x"}"#, "subject: expected the part of an id"),
        (#"@,"meta":"[]"}"#, "meta: expected an object of JSON of at most"),
        (#"@,"check":"x"}"#, "check: expected the id of a check secret"),
        (#"@,"expires":"never"}"#, "there is no column expires; did you mean expires_at?"),
        (#"@,"id":{"a":1}}"#, "id: expected a text"), (#"@,"name":1.5}"#, "name: expected a text"),
        (#"@,"limits":{"search":5}}"#, "limits: expected an object such as"),
        (#"@,"scopes":[["a"]]}"#, "scopes: expected a list of texts without spaces"),
        (#"@,"is_active":null}"#, "is_active: expected true or false"),
        (#"@,"organization_status":"on"}"#, "organization_status: expected active or suspended"),
        (#"[]"#, "expected an object of JSON"),
    ])
    func whatIsWrongWithALineIsTold(line: String, said: String) async throws {
        try await withOrganization { tollgatectl, server in
            let right = self.line("b")
            let wrong = line.replacing(
                "@", with: #"{"organization_id":"acme","key_hash":"\#(hash("a"))""#, maxReplacements: 1)
            let outcome = try await run(tollgatectl, right + wrong + "\n" + self.line("c"), in: server)
            #expect((outcome.code, outcome.output) == (65, "2 keys imported, 1 line refused.\n"))
            #expect(outcome.errors.hasPrefix("tollgatectl: line 2: \(said)"), "\(outcome.errors)")
            #expect(outcome.errors.split(separator: "\n").count == 1)
        }
    }

    @Test func anOrganizationGetsNoMoreKeysThanItMayHave() async throws {
        try await withOrganization { tollgatectl, server in
            #expect(try await tollgatectl("key", "issue", "--org", "acme", "--name", "own").code == 0)
            let inactive = line("0", #","is_active":false"#) + line("1", #","expires_at":1000"#)
            let active = "23456789".map { line($0) }.joined()
            let outcome = try await run(tollgatectl, inactive + active, in: server)
            #expect((outcome.code, outcome.output) == (65, "6 keys imported, 4 lines refused.\n"))
            let lines = outcome.errors.split(separator: "\n")
            #expect(
                lines.first
                    == "tollgatectl: line 7: organization acme has 5 active keys, the most it may have; org set lets it have more"
            )
            #expect(lines.count == 4)
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "5")
            _ = try await tollgatectl("org", "set", "acme", "--max-active-keys", "9")
            let again = try await run(tollgatectl, inactive + active, in: server)
            #expect(again == .init(code: 0, output: "4 keys imported, 6 were there before.\n", errors: ""))
        }
    }

    /// Done again it changes nothing, but that who is inactive in the file is revoked; nobody comes back.
    @Test func aRevocationIsTakenOverAndNeverTakenBack() async throws {
        try await withOrganization { tollgatectl, server in
            let file = line("a", #","name":"first""#) + line("b")
            #expect(try await run(tollgatectl, file, in: server).output == "2 keys imported.\n")
            let before = try await server.cli("DUMP", "tg:1:{acme}:keys")
            let again = try await run(tollgatectl, line("a", #","name":"other""#) + line("b"), in: server)
            #expect(again == .init(code: 0, output: "0 keys imported, 2 were there before.\n", errors: ""))
            #expect(try await server.cli("DUMP", "tg:1:{acme}:keys") == before)
            let revoked = try await run(tollgatectl, line("a", #","is_active":false"#), in: server)
            #expect(revoked == .init(code: 0, output: "0 keys imported, 1 revoked here.\n", errors: ""))
            #expect(try await tollgatectl("audit", "acme").output.contains("key.revoke"))
            let kept = try await run(tollgatectl, file, "--json", in: server)
            #expect(
                kept.output
                    == #"{"imported":0,"there_before":1,"revoked":0,"stay_revoked":1,"refused":0}"# + "\n")
            let active = try await tollgatectl.shell("tollgatectl key list --active --json | jq -r .name")
            #expect(active.output == "imported\n")
        }
    }

    /// Issued here, it has an id of its own: by its hash alone it is found all the same, and full is no word for it.
    @Test func aKeyThatWasIssuedHereIsThere() async throws {
        try await withOrganization { tollgatectl, server in
            for _ in 1...5 { #expect(try await tollgatectl("key", "issue", "--org", "acme", "--name", "a").code == 0) }
            let outcome = try await tollgatectl.shell(
                """
                tollgatectl key export | jq -c '{organization_id, key_hash}' > "$0/keys"
                tollgatectl key import "$0/keys"
                jq -c '.is_active = false' "$0/keys" | head -n 2 | tollgatectl key import
                sed s/acme/globex/ "$0/keys" | head -n 1 | tollgatectl key import --create-orgs
                """, server.directory)
            #expect(
                outcome.output == """
                    0 keys imported, 5 were there before.
                    0 keys imported, 2 revoked here.
                    0 keys imported, 1 line refused.

                    """, "\(outcome)")
            #expect(outcome.errors.contains("line 1: key_hash: it is key acme/"), "\(outcome.errors)")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:keys") == "5")
            #expect(try await server.cli("ZCARD", "tg:1:{globex}:keys") == "0")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "3")
        }
    }

    @Test func noKeyLivesLongerThanItsOrganizationLetsIt() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            #expect(try await tollgatectl("org", "create", "acme", "--max-lifetime", "90d").code == 0)
            let outcome = try await run(
                tollgatectl,
                line("a") + line("b", #","expires_at":"2999-01-01T00:00:00Z""#) + line("c", #","is_active":false"#),
                in: server)
            #expect((outcome.code, outcome.output) == (65, "2 keys imported, 1 line refused.\n"))
            #expect(
                outcome.errors
                    == "tollgatectl: line 2: expires_at: a key of organization acme may not live so long; org show tells how long\n"
            )
            let active = try await server.cli("ZRANGE", "tg:1:{acme}:active", "0", "-1", "WITHSCORES").split(
                separator: "\n")
            let now = try #require(Int(try await server.cli("TIME").split(separator: "\n")[0]))
            let end = try #require(Int(active[1]))
            #expect((90 * 86_400 - 60)...(90 * 86_400) ~= end - now)
            #expect(try await server.cli("HGET", "tg:1:{acme}:k:\(active[0])", "expires_at") == "\(end)")
        }
    }

    @Test func missingOrganizationsAreMadeWhereThatIsWanted() async throws {
        try await withOrganization { tollgatectl, server in
            let file = line("a", org: "globex") + line("b", org: "initech") + line("c")
            let refused = try await run(tollgatectl, file, in: server)
            #expect((refused.code, refused.output) == (65, "1 key imported, 2 lines refused.\n"))
            #expect(
                refused.errors.contains("line 1: organization_id: organization globex does not exist; --create-orgs"))
            let outcome = try await run(tollgatectl, file, "--create-orgs", in: server)
            #expect(outcome == .init(code: 0, output: "2 keys imported, 1 was there before.\n", errors: ""))
            #expect(try await server.cli("HGET", "tg:1:{initech}", "status") == "active")
        }
    }

    /// What an interruption may leave at each step: a record, or a record with its pointer.
    @Test(arguments: [true, false]) func whatWasBegunIsFinished(hasPointer: Bool) async throws {
        try await withOrganization { tollgatectl, server in
            #expect(try await run(tollgatectl, line("a"), in: server).output == "1 key imported.\n")
            let id = try await server.cli("ZRANGE", "tg:1:{acme}:keys", "0", "-1")
            if !hasPointer { _ = try await server.cli("DEL", "tg:1:cred:\(hash("a"))") }
            _ = try await server.cli(
                "EVAL", "return redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])", "1",
                "tg:1:{acme}:unfinished", id)
            let outcome = try await run(tollgatectl, line("a") + line("a"), in: server)
            #expect(outcome == .init(code: 0, output: "1 key imported, 1 was there before.\n", errors: ""))
            #expect(try await server.cli("GET", "tg:1:cred:\(hash("a"))") == "acme \(id)")
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:keys") == "1")
            #expect(try await server.cli("EXISTS", "tg:1:{acme}:unfinished") == "0")
        }
    }

    /// All of every record comes out and goes in again: also into another database, in both forms.
    @Test(arguments: ["", "--csv"]) func whatIsExportedIsImported(form: String) async throws {
        try await RedisServer.run { other in
            try await withOrganization { tollgatectl, server in
                let made = try await tollgatectl.shell(
                    """
                    set -e
                    tollgatectl key issue --org acme --name 'a "b", c' --user ada --expires 9d --scope x:y --limit search=1/s \
                      --allow-tool 'db_*' --deny-tool db_drop --allow-from 10.0.0.0/8 --not-before 2d \
                      --meta '{"seat":"a, b","n":[1]}'
                    old=$(tollgatectl key issue --org acme --name old --json | jq -r .id)
                    tollgatectl key rotate $old --grace 1d
                    tollgatectl key revoke $(tollgatectl key issue --org acme --name gone --json | jq -r .id)
                    tollgatectl key export \(form) > "$0/keys"
                    TOLLGATE_REDIS_URL=$1 tollgatectl key import --create-orgs "$0/keys"
                    tollgatectl key export > "$0/one"; TOLLGATE_REDIS_URL=$1 tollgatectl key export > "$0/two"
                    """, server.directory, other.url)
                #expect((made.code, made.output.hasSuffix("4 keys imported.\n")) == (0, true), "\(made)")
                let one = try String(contentsOfFile: "\(server.directory)/one", encoding: .utf8)
                #expect(try String(contentsOfFile: "\(server.directory)/two", encoding: .utf8) == one)
                #expect(one.split(separator: "\n").count == 4)
                for set in ["keys", "active"] {
                    let members = try await server.cli("ZRANGE", "tg:1:{acme}:\(set)", "0", "-1", "WITHSCORES")
                    #expect(try await other.cli("ZRANGE", "tg:1:{acme}:\(set)", "0", "-1", "WITHSCORES") == members)
                }
            }
        }
    }

    /// Whatever stands in a column that is passed over, it is no matter.
    @Test(arguments: [#"{"a":{"b":[1,null]}}"#, "1.5", "[[1]]", "null", "true", #"[{"a":"b"}]"#, "1e400"])
    func whatIsPassedOverMayBeAnything(value: String) async throws {
        try await withOrganization { tollgatectl, server in
            let outcome = try await run(tollgatectl, line("a", #","x":\#(value)"#), "--ignore", "x", in: server)
            #expect(outcome == .init(code: 0, output: "1 key imported.\n", errors: ""))
        }
    }

    /// As `key show --json` prints it, too.
    @Test func metaMayBeAnyObject() async throws {
        try await withOrganization { tollgatectl, server in
            let meta = #"{"at":1.5,"n":{"a":[true,null,"x"]},"seats":5}"#
            let outcome = try await run(tollgatectl, line("a", #","meta":\#(meta)"#), in: server)
            #expect(outcome == .init(code: 0, output: "1 key imported.\n", errors: ""))
            let shown = try await tollgatectl.shell("tollgatectl key list --json | jq -c .meta")
            #expect(shown.output == meta + "\n")
            let long = String(repeating: "x", count: 1_100)
            let refused = try await run(tollgatectl, line("b", #","meta":{"a":"\#(long)"}"#), in: server)
            #expect(refused.errors.hasPrefix("tollgatectl: line 1: meta: expected an object of JSON of at most"))
        }
    }

    /// A database prints an unknown one so; active is what it mustn't become.
    @Test func anEmptyFlagIsNoFlag() async throws {
        try await withOrganization { tollgatectl, server in
            let file = "organization_id,key_hash,is_active\nacme,\(hash("a")),\nacme,\(hash("b")),t\n"
            let outcome = try await run(tollgatectl, file, in: server)
            #expect((outcome.code, outcome.output) == (65, "1 key imported, 1 line refused.\n"))
            #expect(outcome.errors == "tollgatectl: line 2: is_active: expected true or false\n")
        }
    }

    @Test func aSuspendedOrganizationArrivesSuspended() async throws {
        try await RedisServer.run { other in
            try await withOrganization { tollgatectl, server in
                let outcome = try await tollgatectl.shell(
                    """
                    set -e
                    tollgatectl org create globex
                    for org in acme globex; do tollgatectl key issue --org $org --name a >/dev/null; done
                    tollgatectl org suspend acme
                    tollgatectl key export | TOLLGATE_REDIS_URL=$0 tollgatectl key import --create-orgs
                    tollgatectl org resume acme
                    tollgatectl key export | TOLLGATE_REDIS_URL=$0 tollgatectl key import --create-orgs
                    """, other.url)
                #expect((outcome.code, outcome.errors) == (0, ""), "\(outcome)")
                #expect(try await other.cli("HGET", "tg:1:{acme}", "status") == "suspended")
                #expect(try await other.cli("HGET", "tg:1:{globex}", "status") == "active")
            }
        }
    }

    /// What was done is told also where the rest can't be read, or nobody reads what is said.
    @Test func whatEndsItEarlySaysHowFarItCame() async throws {
        try await withOrganization { tollgatectl, server in
            let lost = try await tollgatectl.shell(
                #"printf '%s' "$0" | tollgatectl key import --json > /dev/full"#, line("a"))
            #expect(lost.code == 74, "\(lost)")
            #expect(lost.errors.contains("up to line 1: 1 key imported; for the rest import the file again"), "\(lost)")
        }
    }

    @Test func aDryRunAsksNobody() async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock").shell(
            "printf '%s\\n{\\n' \"$0\" | tollgatectl key import --dry-run", String(line("a").dropLast()))
        #expect((outcome.code, outcome.output) == (65, "1 key could be imported.\n"))
        #expect(outcome.errors == "tollgatectl: line 2: expected an object of JSON\n")
    }

    @Test func aFileThatIsNotThereIs66() async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock")("key", "import", "/nonexistent")
        #expect(
            outcome
                == .init(
                    code: 66, output: "", errors: "tollgatectl: /nonexistent can't be read: No such file or directory\n"
                ))
    }
}
