// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings
import Testing

@testable import tollgate

@Suite struct CommandTests {
    @Test func helpOfTheCommand() {
        #expect(
            Command.helpMessage(columns: 80) == """
                OVERVIEW: API keys and fair rate limits in front of an MCP server or HTTP API.

                Everything has a default: tollgate listens on 127.0.0.1:8080, forwards to
                http://127.0.0.1:8081 and keeps keys and limits in redis://127.0.0.1:6379.
                Flags beat TOLLGATE_* variables, which beat the file.

                EXAMPLES:
                  tollgate --upstream http://127.0.0.1:3000
                  tollgate --config /etc/tollgate.yaml --listen 0.0.0.0:8080
                  TOLLGATE_REDIS_URL=redis://user:password@redis:6379/0 tollgate
                  tollgate config check /etc/tollgate.yaml

                Exit codes: 0, 1 could not start, 64 wrong usage, 78 wrong configuration.

                USAGE: tollgate [serve] [--config <file>] [--upstream <url>] [--listen <address>] ...

                OPTIONS:
                  --version               Show the version.
                  -h, --help              Show help information.

                SUBCOMMANDS:
                  serve (default)         Run the sidecar until SIGTERM or SIGINT (default).
                  config                  Look at configurations.
                  health                  Ask a running sidecar whether it is ready, without
                                          curl or a shell.

                  See 'tollgate help <subcommand>' for detailed help.
                """)
    }

    @Test func helpOfServe() {
        #expect(
            Command.helpMessage(for: Serve.self, columns: 80) == """
                OVERVIEW: Run the sidecar until SIGTERM or SIGINT (default).

                The first signal finishes what is under way, for at most drain.timeout; a
                second one ends at once.

                EXAMPLES:
                  tollgate serve --config /etc/tollgate.yaml
                  tollgate --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8000 --admin off

                USAGE: tollgate serve [--config <file>] [--listen <address>] [--upstream <url>] [--redis <url>] [--namespace <name>] [--admin <address>] [--log-level <level>]

                OPTIONS:
                  --config <file>         Configuration in YAML or JSON. [TOLLGATE_CONFIG]
                  --listen <address>      Where clients connect; several by commas.
                                          [TOLLGATE_LISTEN]
                  --upstream <url>        URL of the handler. [TOLLGATE_UPSTREAM]
                  --redis <url>           Where keys and limits are. Others see the command
                                          line: give a password by variable.
                                          [TOLLGATE_REDIS_URL]
                  --namespace <name>      First part of every Redis key; sidecars that share it
                                          share limits. [TOLLGATE_NAMESPACE]
                  --admin <address>       Address of /readyz, /metrics and /status, or off.
                                          [TOLLGATE_ADMIN]
                  --log-level <level>     debug, info, warning or error. [TOLLGATE_LOG_LEVEL]
                  --version               Show the version.
                  -h, --help              Show help information.

                """)
    }

    @Test func serveIsTheDefault() throws {
        for arguments in [["--config", "a.yaml"], ["serve", "--config", "a.yaml"]] {
            let serve = try #require(try Command.parseAsRoot(arguments) as? Serve)
            #expect(serve.configuration.config == "a.yaml")
            #expect(serve.configuration.listen == nil)
        }
    }

    @Test func everyFlagIsTaken() throws {
        let serve = try #require(
            try Command.parseAsRoot([
                "--listen", "l", "--upstream=u", "--redis", "r", "--namespace", "n", "--admin", "off",
                "--log-level", "debug",
            ]) as? Serve)
        #expect(
            serve.configuration.sources(environment: [:]).flags == [
                .listen: "l", .upstream: "u", .redis: "r", .namespace: "n", .admin: "off", .logLevel: "debug",
            ])
    }

    @Test(arguments: [
        ["--nonsense"], ["serve", "extra"], ["--config"], ["config", "check"], ["config", "check", "a", "b"],
        ["config", "show", "a", "--config", "b"], ["config", "schema", "a"],
    ])
    func wrongUsageIs64(arguments: [String]) {
        do {
            _ = try Command.parseAsRoot(arguments)
            Issue.record("taken: \(arguments)")
        } catch {
            #expect(Command.exitCode(for: error) == ExitCode(64))
        }
    }

    /// As of a misspelt option.
    @Test(
        arguments: [
            (["config", "chek", "t.yaml"], "2 unexpected arguments: 'chek', 't.yaml'. Did you mean 'check'?"),
            (["confg"], "Unexpected argument 'confg'. Did you mean 'config'?"),
            (["t.yaml"], "Unexpected argument 't.yaml'. Did you mean '--config t.yaml'?"),
            (["serve", "t.yaml"], "Unexpected argument 't.yaml'. Did you mean '--config t.yaml'?"),
            (["serve", "other"], nil), (["config", "t.yaml"], nil), (["config", "check", "a", "b"], nil),
            (["--nonsense"], nil), (["--listen", "l", "confg"], nil),
        ] as [([String], String?)])
    func strayWordsHaveAGuess(arguments: [String], line: String?) {
        do {
            _ = try Command.parseAsRoot(arguments)
            Issue.record("taken: \(arguments)")
        } catch {
            let told = Command.hinted(error, of: arguments) { $0 == "t.yaml" }
            #expect(told?.split(separator: "\n").first.map(String.init) == line.map { "Error: \($0)" })
            #expect(told?.contains("\nUsage: tollgate ") != false)
        }
    }

    @Test func showTakesWhatServeTakes() throws {
        let show = try #require(
            try Command.parseAsRoot(["config", "show", "a.yaml", "--listen", "l", "--admin", "off"]) as? Config.Show)
        #expect(show.file == "a.yaml")
        #expect(show.flags.sources(environment: [:]).flags == [.listen: "l", .admin: "off"])
    }

    @Test func wrongConfigurationIs78() async throws {
        let check = try #require(try Command.parseAsRoot(["config", "check", "no/such.yaml"]) as? Config.Check)
        do {
            try await check.run()
            Issue.record("taken")
        } catch {
            #expect(error as? ExitCode == ExitCode(78))
        }
    }
}
