// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite struct ExitCodeTests {
    /// Nobody listens there.
    private let nowhere = Tollgatectl(url: "unix:/nonexistent/redis.sock")

    @Test(arguments: [
        ["org", "create"], ["org", "create", "Acme"], ["org", "create", "a", "b"], ["org", "nonsense"],
        ["key", "issue", "--org", "acme"], ["key", "issue", "--org", "acme", "--name", ""],
        ["key", "issue", "--org", "acme", "--name", "a", "--expires", "soon"],
        ["key", "issue", "--org", "acme", "--name", "a", "--expires", "0d"],
        ["key", "issue", "--org", "acme", "--name", "a", "--limit", "search"],
        ["key", "issue", "--org", "acme", "--name", "a", "--limit", "search=1/x"],
        ["key", "issue", "--org", "acme", "--name", "a", "--limit", "s=1/s", "--limit", "s=2/s"],
        ["key", "issue", "--org", "acme", "--name", "a", "--allow-tool", ""],
        ["key", "issue", "--org", "acme", "--name", "a", "--allow-tool", "a b"],
        ["key", "issue", "--org", "acme", "--name", "a", "--deny-tool", "!a"],
        ["key", "issue", "--org", "acme", "--name", "a", "--deny-tool", String(repeating: "a", count: 129)],
        ["key", "issue", "--org", "acme", "--name", " "], ["key", "issue", "--org", "acme", "--name", "a\u{2028}b"],
        ["key", "revoke"], ["key", "revoke", "acme"], ["--redis", "http://x", "org", "create", "acme"],
        ["--namespace", "a{b}", "org", "create", "acme"], ["--namespace", "", "org", "create", "acme"],
    ])
    func wrongUsageIs64(arguments: [String]) async throws {
        let outcome = try await nowhere.run(arguments)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.hasPrefix("Error: "))
    }

    @Test func noRedisIs69() async throws {
        let outcome = try await nowhere("org", "create", "acme")
        let expected = Tollgatectl.Outcome(
            code: 69, output: "",
            errors: """
                tollgatectl: Redis is not reachable at unix:/nonexistent/redis.sock (no such socket); start it, or name \
                another with --redis or TOLLGATE_REDIS_URL

                """)
        #expect(outcome == expected)
    }

    /// The answer may come after all: that is another message than that of a Redis that was never asked.
    @Test func aFrozenRedisIs69() async throws {
        try await RedisServer.run { server in
            try await server.freeze()
            let outcome = try await Tollgatectl(url: server.url)("org", "create", "acme")
            let expected = Tollgatectl.Outcome(
                code: 69, output: "",
                errors: """
                    tollgatectl: \(server.url) did not answer (no reply in time); what was asked may have been done all \
                    the same: look before you repeat it

                    """)
            #expect(outcome == expected)
        }
    }

    /// The parser would repeat the value; one word more and a key would be on the screen for the second time.
    @Test func aKeyInPlaceOfItsIDIsNotRepeated() async throws {
        let secret = "mcp_" + String(repeating: "s3cret", count: 7) + "x"
        for arguments in [[secret], ["--yes", "acme/aaaaaaaaaa", secret]] {
            let outcome = try await nowhere.run(["key", "revoke"] + arguments)
            #expect((outcome.code, outcome.output) == (64, ""))
            #expect(outcome.errors.contains("such as acme/7h3kq2mzxb, not the key itself"))
            #expect(outcome.errors.contains("number 2") == (arguments.count > 1))
            #expect(!outcome.errors.contains("s3cret"))
        }
    }

    @Test func aKeyInPlaceOfAnInputIsNotRepeated() async throws {
        let secret = "mcp_" + String(repeating: "s3cret", count: 7) + "x"
        let outcome = try await nowhere("key", "verify", secret)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(
            outcome.errors.hasPrefix(
                "Error: a key is no argument, since others see the command line: type it where key verify asks for it, or send it to standard input\n"
            ), "\(outcome.errors)")
        #expect(!outcome.errors.contains("s3cret"))
    }

    /// Each says what to do about it.
    @Test func aRedisThatCannotTakeItIs69() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            _ = try await tollgatectl("org", "create", "acme")
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "1")
            equal(
                try await tollgatectl("org", "create", "bravo"),
                .init(
                    code: 69, output: "",
                    errors: """
                        tollgatectl: \(server.url) has no memory left for it (maxmemory); nothing was changed, give it more

                        """))
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "0")
            _ = try await server.cli("REPLICAOF", "127.0.0.1", "1")
            let replica = Tollgatectl.Outcome(
                code: 69, output: "",
                errors: """
                    tollgatectl: \(server.url) can't be used: this is a replica: give the address of its primary

                    """)
            equal(try await tollgatectl("org", "create", "bravo"), replica)
            equal(try await tollgatectl("org", "list"), replica)
            equal(try await tollgatectl.shell("echo mcp_new | tollgatectl key verify"), replica)
            _ = try await server.cli("CONFIG", "SET", "replica-serve-stale-data", "no")
            equal(try await tollgatectl("org", "list"), replica)
        }
    }

    @Test func whatIsMissingIs66() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let firstOutcome = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a")
            #expect(
                firstOutcome
                    == .init(
                        code: 66, output: "",
                        errors: """
                            tollgatectl: organization acme does not exist; create it with: tollgatectl org create acme

                            """))
            let secondOutcome = try await tollgatectl("key", "revoke", "acme/aaaaaaaaaa")
            #expect(
                secondOutcome
                    == .init(code: 66, output: "", errors: "tollgatectl: key acme/aaaaaaaaaa does not exist\n"))
        }
    }

    @Test func whatExistsIs73AndThePastIs65() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let firstOutcome = try await tollgatectl("org", "create", "acme")
            #expect(firstOutcome.code == 0)
            let secondOutcome = try await tollgatectl("org", "create", "acme")
            #expect(
                secondOutcome
                    == .init(code: 73, output: "", errors: "tollgatectl: organization acme exists already\n"))
            let thirdOutcome = try await tollgatectl(
                "key", "issue", "--org", "acme", "--name", "a", "--expires", "2001-01-01T00:00:00Z")
            #expect(
                thirdOutcome
                    == .init(
                        code: 65, output: "", errors: "tollgatectl: --expires: expected a moment in the future\n"))
        }
    }

    /// Neither the message nor anything else repeats the password.
    @Test(arguments: [
        ("", "asks for a password"), ("default:wrongsecret@", "refused user or password"),
        ("reader:readersecret@", "does not permit this"), ("stranger:strangersecret@", "does not permit this"),
    ])
    func whatRedisForbidsIs77(credentials: String, reason: String) async throws {
        let options = RedisServer.Options(
            password: "right",
            users: ["reader on >readersecret ~tg:* +@read +auth +ping", "stranger on >strangersecret ~other:* +@all"])
        try await RedisServer.run(options) { server in
            let url = credentials.isEmpty ? server.url : "unix://\(credentials)\(server.socketPath)"
            let outcome = try await Tollgatectl(url: url)("org", "create", "acme")
            #expect((outcome.code, outcome.output) == (77, ""))
            #expect(outcome.errors.hasPrefix("tollgatectl: unix:"), "\(outcome.errors)")
            #expect(outcome.errors.contains(reason), "\(outcome.errors)")
            #expect(!outcome.errors.contains("secret"))
            #expect(outcome.errors.filter(\.isNewline).count == 1)
        }
    }

    /// A user that may run scripts, though not what ours do.
    @Test func whatAScriptMayNotIs77() async throws {
        let options = RedisServer.Options(users: ["scripts on >secret ~tg:* +@all -hset"])
        try await RedisServer.run(options) { server in
            let outcome = try await Tollgatectl(url: "unix://scripts:secret@\(server.socketPath)")(
                "org", "create", "acme")
            #expect((outcome.code, outcome.output) == (77, ""), "\(outcome.errors)")
        }
    }

    @Test(arguments: [0, 1, 3]) func redisMayStandAnywhere(position: Int) async throws {
        try await RedisServer.run { server in
            var arguments = ["org", "create", "acme"]
            arguments.insert(contentsOf: ["--redis", server.url, "--namespace", "other"], at: position)
            let firstOutcome = try await nowhere.run(arguments)
            #expect(firstOutcome.code == 0)
            #expect(try await server.cli("EXISTS", "other:1:{acme}") == "1")
        }
    }
}
