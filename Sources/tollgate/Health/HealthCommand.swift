// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask a running sidecar whether it is ready, without curl or a shell.",
        discussion: """
            Asks /readyz at the admin address of the configuration, and prints one line. Exits with 0 if it is ready, else \
            with 1; also if nobody answers within 5 s.

            EXAMPLES:
              tollgate health
              tollgate health --config /etc/tollgate.yaml
              tollgate health --live --admin 127.0.0.1:9901
              HEALTHCHECK CMD ["tollgate", "health"]
            """)

    @Option(help: ArgumentHelp("The sidecar's configuration. [TOLLGATE_CONFIG]", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Ask there; the configuration isn't read. [TOLLGATE_ADMIN]", valueName: "address"))
    var admin: String?
    @Flag(help: "Ask /livez: whether the process answers at all.")
    var live = false

    func run() async throws {
        let report = await report()
        try? StandardStream.output.write("\(report.line)\n")
        if !report.isGood { throw ExitCode.failure }
    }

    private func report() async -> HealthReport {
        let admin: Settings.TCPAddress?
        do {
            admin = try Settings.admin(sources)
        } catch {
            return HealthReport(isGood: false, line: "not asked: \(error.lines.first ?? "the configuration is wrong")")
        }
        guard let address = admin else {
            return HealthReport(isGood: false, line: "not asked: the configuration says admin: off")
        }
        guard address.port != 0 else {
            return HealthReport(
                isGood: false, line: "not asked: port 0 of admin is the kernel's choice; name the real one with --admin"
            )
        }
        return await HealthProbe(address, isForLife: live).report()
    }

    private var sources: ConfigurationSources {
        if let admin { return ConfigurationSources(flags: [.admin: admin]) }
        return ConfigurationSources(file: config, environment: ProcessInfo.processInfo.environment)
    }
}
