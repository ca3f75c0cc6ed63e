// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Logging
import NIOPosix
import OpenAPI
import Settings

extension Config {
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what is wrong with a configuration, without starting.",
            discussion: """
                If nothing is, tells what it comes to: routes, policies, what is open without a key and what nobody \
                counts; and exits with 0, else with 78. Flags and variables are left out of account. What is legal and \
                hardly meant is a warning on stderr.

                Documents of openapi in routes are not read, so that a check needs no handler; --openapi reads them, \
                and warns of operations that can't be routes.

                EXAMPLES:
                  tollgate config check /etc/tollgate.yaml
                  tollgate config check --strict tollgate.yaml
                  tollgate config check --openapi tollgate.yaml
                """)

        @Argument(help: "Configuration in YAML or JSON.")
        var file: String
        @Flag(help: "Exit with 78 where there is a warning.")
        var strict = false
        @Flag(help: "Read the documents of openapi in routes, as the sidecar would.")
        var openapi = false

        func run() async throws {
            var settings = try Configuration.told { () throws(ConfigurationError) in
                try Settings.load(ConfigurationSources(file: file, looksAtFolders: true, readsSecrets: true))
            } by: {
                $0.allLines
            }
            var warnings = settings.warnings.map(\.asWarning)
            if openapi { settings = try await told(settings, &warnings) }
            Configuration.report(warnings)
            if strict, !warnings.isEmpty { throw Configuration.wrong }
            let lines = ["\(file): ok"] + settings.summary
            try StandardStream.output.write(lines.map { "\($0)\n" }.joined())
        }

        /// Settings with the routes that their documents tell.
        private func told(_ settings: Settings, _ warnings: inout [String]) async throws -> Settings {
            let discovery = Discovery(
                on: MultiThreadedEventLoopGroup.singleton,
                logger: Logger(label: "tollgate") { _ in SwiftLogNoOpLogHandler() })
            let whole: Settings
            do {
                whole = try await discovery.merged(settings, after: nil)
            } catch {
                Configuration.report(["\(file): \(error)"])
                throw Configuration.wrong
            }
            warnings += whole.warnings(of: discovery.reports(of: settings)).map { "\(file): warning: \($0)" }
            return whole
        }
    }
}
