// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Config {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the configuration in force, and where each value comes from.",
            discussion: """
                Takes files, flags and variables as serve does, and prints YAML that serve takes again: behind each value \
                the line of the file, the flag or the variable that it comes from, or that it is the default. What depends \
                on other keys or on the machine is commented out. Passwords are masked.

                EXAMPLES:
                  tollgate config show /etc/tollgate.yaml
                  TOLLGATE_LISTEN=0.0.0.0:8080 tollgate config show --upstream http://127.0.0.1:3000
                """)

        @Argument(help: "Configuration in YAML or JSON, in place of --config.")
        var file: String?
        @OptionGroup var flags: ConfigurationFlags

        func validate() throws {
            guard file == nil || flags.config == nil else {
                throw ValidationError("the file is given twice, as \(file ?? "") and by --config: give it once")
            }
        }

        func run() throws {
            var sources = flags.sources(environment: ProcessInfo.processInfo.environment)
            sources.file = file ?? sources.file
            let text = try Configuration.told { () throws(ConfigurationError) in try Settings.effective(sources) }
            try StandardStream.output.write(text)
        }
    }

    struct Schema: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a JSON Schema (2020-12) of the configuration, for editors.",
            discussion: """
                It completes keys and marks most mistakes while a file is written; config check finds all of them.

                EXAMPLES:
                  tollgate config schema >tollgate.schema.json
                """)

        func run() throws {
            try StandardStream.output.write(Settings.jsonSchema)
        }
    }
}
