// SPDX-License-Identifier: Apache-2.0

import Settings
import Testing

/// What people read before anything else, word for word: at 80 columns, since the output is no terminal.
@Suite struct HelpTests {
    private let tollgatectl = Tollgatectl(url: "")

    @Test func ofTheCommand() async throws {
        let outcome = try await tollgatectl("--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: Issue and revoke the API keys that tollgate asks for.

                EXAMPLES:
                  tollgatectl org create acme
                  tollgatectl key issue --org acme --name laptop --expires 90d
                  tollgatectl key revoke acme/7h3kq2mzxb

                Redis is --redis, else TOLLGATE_REDIS_URL, else redis://127.0.0.1:6379/0.
                Exit codes: 0, 64 wrong usage, 65 bad data, 66 not found, 69 Redis unreachable,
                73 refused, 74 output lost, 77 not permitted.

                USAGE: tollgatectl <subcommand>

                OPTIONS:
                  --version               Show the version.
                  -h, --help              Show help information.

                SUBCOMMANDS:
                  org                     Organizations: who keys belong to and whose calls
                                          count together.
                  key                     API keys.

                  See 'tollgatectl help <subcommand>' for detailed help.

                """)
    }

    @Test func ofOrg() async throws {
        let outcome = try await tollgatectl("org", "--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: Organizations: who keys belong to and whose calls count together.

                USAGE: tollgatectl org <subcommand>

                OPTIONS:
                  --version               Show the version.
                  -h, --help              Show help information.

                SUBCOMMANDS:
                  create                  Create an organization.

                  See 'tollgatectl help org <subcommand>' for detailed help.

                """)
    }

    @Test func ofOrgCreate() async throws {
        let outcome = try await tollgatectl("org", "create", "--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: Create an organization.

                EXAMPLE:
                  tollgatectl org create acme

                USAGE: tollgatectl org create <name> [--json] [--redis <url>] [--namespace <name>]

                ARGUMENTS:
                  <name>                  1 to 40 of a-z, 0-9, _ and -.

                OPTIONS:
                  --json                  Print JSON: org, created_at.
                  --redis <url>           Where keys and limits are. Others see the command
                                          line: give a password by TOLLGATE_REDIS_URL.
                  --namespace <name>      First part of every Redis key; tg where nothing else
                                          is said.
                  --version               Show the version.
                  -h, --help              Show help information.


                """)
    }

    @Test func ofKey() async throws {
        let outcome = try await tollgatectl("key", "--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: API keys.

                USAGE: tollgatectl key <subcommand>

                OPTIONS:
                  --version               Show the version.
                  -h, --help              Show help information.

                SUBCOMMANDS:
                  issue                   Issue a key and show it, once.
                  revoke                  Revoke keys: they are refused from the next request
                                          on.

                  See 'tollgatectl help key <subcommand>' for detailed help.

                """)
    }

    @Test func ofKeyIssue() async throws {
        let outcome = try await tollgatectl("key", "issue", "--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: Issue a key and show it, once.

                EXAMPLES:
                  tollgatectl key issue --org acme --name laptop
                  tollgatectl key issue --org acme --name ci --user ada --expires 90d --json
                  tollgatectl key issue --org acme --name batch --limit search=100/10s

                USAGE: tollgatectl key issue --org <org> --name <name> [--user <user>] [--expires <when>] [--limit <policy=limit> ...] [--config <file>] [--json] [--redis <url>] [--namespace <name>]

                OPTIONS:
                  --org <org>             The organization it belongs to.
                  --name <name>           What it is for, as people will read it: 1 to 100
                                          characters.
                  --user <user>           Who it is for.
                  --expires <when>        A time from now (90d, 12h, 30m) or a moment
                                          (2027-01-01T00:00:00Z).
                  --limit <policy=limit>  Other numbers for a per-key policy:
                                          search=100/10s:200. Repeatable.
                  --config <file>         The sidecars' configuration: to check --limit
                                          against, and for its namespace, key prefix and most
                                          active keys.
                  --json                  Print JSON: key, id, org, name, created_at,
                                          expires_at.
                  --redis <url>           Where keys and limits are. Others see the command
                                          line: give a password by TOLLGATE_REDIS_URL.
                  --namespace <name>      First part of every Redis key; tg where nothing else
                                          is said.
                  --version               Show the version.
                  -h, --help              Show help information.


                """)
    }

    @Test func ofKeyRevoke() async throws {
        let outcome = try await tollgatectl("key", "revoke", "--help")
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(
            outcome.output == """
                OVERVIEW: Revoke keys: they are refused from the next request on.

                EXAMPLES:
                  tollgatectl key revoke acme/7h3kq2mzxb
                  tollgatectl key revoke --yes acme/7h3kq2mzxb acme/qz5t2mrwkd

                USAGE: tollgatectl key revoke <id> ... [--yes] [--json] [--redis <url>] [--namespace <name>]

                ARGUMENTS:
                  <id>                    As key issue printed it: acme/7h3kq2mzxb.

                OPTIONS:
                  --yes                   Do not ask before revoking more than one.
                  --json                  Print JSON, one object a key: id, revoked (false: it
                                          was before).
                  --redis <url>           Where keys and limits are. Others see the command
                                          line: give a password by TOLLGATE_REDIS_URL.
                  --namespace <name>      First part of every Redis key; tg where nothing else
                                          is said.
                  --version               Show the version.
                  -h, --help              Show help information.


                """)
    }

    @Test func versionIsTheDaemons() async throws {
        let outcome = try await tollgatectl("--version")
        #expect(outcome == .init(code: 0, output: "tollgatectl \(Version.current)\n", errors: ""))
    }
}
