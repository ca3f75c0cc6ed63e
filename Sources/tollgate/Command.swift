// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Guesses
import Proxy
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@main
struct Command: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate",
        abstract: "API keys and fair rate limits in front of an MCP server or HTTP API.",
        usage: "tollgate [serve] [--config <file>] [--upstream <url>] [--listen <address>] ...",
        discussion: """
            Everything has a default: tollgate listens on 127.0.0.1:8080, forwards to http://127.0.0.1:8081 and keeps \
            keys and limits in redis://127.0.0.1:6379. Flags beat TOLLGATE_* variables, which beat the file.

            EXAMPLES:
              tollgate --upstream http://127.0.0.1:3000
              tollgate --config /etc/tollgate.yaml --listen 0.0.0.0:8080
              TOLLGATE_REDIS_URL=redis://user:password@redis:6379/0 tollgate
              tollgate config check /etc/tollgate.yaml

            Exit codes: 0, 1 could not start, 64 wrong usage, 78 wrong configuration.
            """,
        version: "tollgate \(Version.current)",
        subcommands: [Serve.self, Config.self, HealthCommand.self],
        defaultSubcommand: Serve.self)

    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            guard let message = hinted(error, of: arguments, isFile: FileManager.default.fileExists) else {
                exit(withError: error)
            }
            Configuration.report([message])
            exit(withError: ExitCode.validationFailure)
        }
    }

    /// What is told of a word that is no subcommand, with what it was meant to be; nil of another error, or where nobody knows.
    static func hinted(_ error: any Error, of arguments: [String], isFile: (String) -> Bool) -> String? {
        guard let stray = StrayWord(error, of: arguments, for: self) else { return nil }
        // Only who serves takes its file by an option.
        let isToServe = stray.command == Command.self || stray.command == Serve.self
        return stray.message(
            meaning: stray.nearest ?? (isToServe && isFile(stray.word) ? "--config \(stray.word)" : nil))
    }
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the sidecar until SIGTERM or SIGINT (default).",
        discussion: """
            The first signal finishes what is under way, for at most drain.timeout; a second one ends at once.

            EXAMPLES:
              tollgate serve --config /etc/tollgate.yaml
              tollgate --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8000 --admin off
            """)

    @OptionGroup var configuration: ConfigurationFlags

    func run() async throws {
        let process = ProcessInfo.processInfo
        let sources = configuration.sources(
            environment: process.environment, descriptors: DescriptorLimit.raise())
        let (settings, text) = try Configuration.read(sources)
        do {
            let inherited = try InheritedSockets(environment: process.environment, pid: process.processIdentifier)
            let supervision = Supervision(environment: process.environment, pid: process.processIdentifier)
            let daemon = Daemon(settings, from: sources, text: text, inherited: inherited, supervision: supervision)
            try await daemon.run()
        } catch let error as InheritedSockets.Malformed {
            Configuration.report(["tollgate: \(error)"])
            throw Configuration.wrong
        } catch let error as ProxyStartError where error.isMisconfiguration {
            Configuration.report(["tollgate: \(error)"])
            throw Configuration.wrong
        } catch {
            Configuration.report(["tollgate: \(error)"])
            throw ExitCode.failure
        }
    }
}

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at configurations.",
        subcommands: [Check.self, Show.self, Schema.self, Init.self, Reference.self])

}

extension Config {
    struct Reference: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what can be configured, in Markdown.",
            discussion: """
                EXAMPLES:
                  tollgate config reference | less
                """)

        func run() throws {
            try StandardStream.output.write(Settings.reference)
        }
    }
}

/// Configurations on the command line: read, or told on stderr and exit code 78.
enum Configuration {
    /// `EX_CONFIG` of sysexits.
    static let wrong = ExitCode(78)

    /// - Returns: also what the file said; nil where there is none.
    static func read(_ sources: ConfigurationSources) throws -> (Settings, text: String?) {
        try told { () throws(ConfigurationError) in
            let text = try sources.text()
            return (try Settings.load(sources, text: text), text)
        }
    }

    /// What `read` returns; where it can't, its error is told.
    static func told<Value>(
        _ read: () throws(ConfigurationError) -> Value, by lines: (ConfigurationError) -> [String] = \.lines
    ) throws -> Value {
        do throws(ConfigurationError) {
            return try read()
        } catch {
            report(lines(error))
            throw wrong
        }
    }

    static func report(_ lines: [String]) {
        // Where stderr is closed there is nobody to tell; the exit code remains.
        try? StandardStream.error.write(lines.map { $0 + "\n" }.joined())
    }
}
