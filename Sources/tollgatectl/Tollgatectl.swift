// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Guesses
import Settings

@main
struct Tollgatectl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgatectl",
        abstract: "Issue the API keys that tollgate asks for, and see what is left of limits.",
        discussion: """
            EXAMPLES:
              tollgatectl org create acme
              tollgatectl key issue --org acme --name laptop --expires 90d
              tollgatectl key revoke acme/7h3kq2mzxb
              tollgatectl quota show acme
              tollgatectl --generate-completion-script bash

            Redis is --redis, else TOLLGATE_REDIS_URL, else that of --config, else redis://127.0.0.1:6379/0. Keys are made \
            as the running sidecars publish, or as the file says that --config or TOLLGATE_CONFIG names.
            Exit codes: 0, 64 wrong usage, 65 bad data, 66 not found, 69 Redis unreachable, 73 refused, 74 output lost, \
            75 try again, 77 not permitted.
            """,
        version: "tollgatectl \(Version.current)",
        subcommands: [
            Org.self, Key.self, Plan.self, QuotaCommand.self, UsageCommand.self, RoutesCommand.self, AuditCommand.self,
            CheckCommand.self, DatabaseCommand.self,
        ])

    static func main() async {
        let arguments = movingConnectionOptionsLast(Array(CommandLine.arguments.dropFirst()))
        do {
            let command = try parseAsRoot(arguments)
            do {
                if var command = command as? any AsyncParsableCommand {
                    try await command.run()
                } else {
                    var command = command
                    try command.run()
                }
            } catch let error as ValidationError {
                // Of a command that runs already, the parser would show how the program is used instead.
                let usage = usageString(for: type(of: command))
                let verb = usage.prefix { !"<[".contains($0) }
                Output.note(
                    "Error: \(error.message)\nUsage: \(usage)\n  See '\(verb)--help' for more information.")
                throw ExitCode.validationFailure
            }
        } catch {
            guard let message = hinted(error, of: arguments) else { exit(withError: error) }
            Output.note(message)
            exit(withError: ExitCode.validationFailure)
        }
    }

    /// What is told of a word that is no subcommand, with the nearest one; nil of another error, or where there is none.
    static func hinted(_ error: any Error, of arguments: [String]) -> String? {
        StrayWord(error, of: arguments, for: self).flatMap { $0.message(meaning: $0.nearest) }
    }

    private static let connectionOptions: Set<String> = ["--redis", "--namespace", "--config", "--as"]

    /// The options of ``Connection`` may stand anywhere, also before the noun; the parser knows them with the verb.
    static func movingConnectionOptionsLast(_ arguments: [String]) -> [String] {
        var kept: [String] = []
        var moved: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                return kept + moved + [argument] + rest
            } else if connectionOptions.contains(argument) {
                moved.append(argument)
                if let value = rest.popFirst() { moved.append(value) }
            } else if connectionOptions.contains(where: { argument.hasPrefix("\($0)=") }) {
                moved.append(argument)
            } else {
                kept.append(argument)
            }
        }
        return kept + moved
    }
}

struct Org: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Organizations: who keys belong to and whose calls count together.",
        subcommands: [
            OrgCreate.self, OrgList.self, OrgShow.self, OrgSet.self, OrgSuspend.self, OrgResume.self, OrgLimit.self,
            OrgPlan.self, OrgDelete.self,
        ])
}

struct Key: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "API keys.",
        subcommands: [
            KeyIssue.self, KeyList.self, KeyShow.self, KeyVerify.self, KeyRevoke.self, KeyRotate.self, KeyLimit.self,
            KeySet.self, KeyExpiring.self, KeyImportCommand.self, KeyExport.self,
        ])
}

struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plans: numbers that several organizations share.",
        subcommands: [PlanSet.self, PlanList.self, PlanShow.self, PlanDelete.self])
}

struct QuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "What is left of the limits.",
        subcommands: [QuotaShow.self, QuotaReset.self, QuotaGrant.self])
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Secrets by which sidecars tell issued keys from junk before they ask.",
        subcommands: [CheckList.self, CheckRotate.self, CheckRetire.self, CheckMake.self])
}

struct DatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database", abstract: "Which database this is, as sidecars know it.",
        subcommands: [DatabaseShow.self, DatabaseAdopt.self])
}
