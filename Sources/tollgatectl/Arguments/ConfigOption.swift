// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings

/// The file that the sidecars are configured by.
struct ConfigOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The sidecars' configuration, instead of what they publish; also says where keys are, and in which namespace. TOLLGATE_CONFIG where nothing is said.",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?

    /// What is in it; nil where neither option nor variable names one.
    var configuration: Session.Configuration? {
        get throws {
            guard let file = config ?? variable(ConfigurationSources.fileVariable) else { return nil }
            do throws(ConfigurationError) {
                return Session.Configuration(
                    file: file, settings: try Settings.load(ConfigurationSources(file: file, readsSecrets: true)))
            } catch {
                let source = config == nil ? ConfigurationSources.fileVariable : "--config"
                throw Failure(.badData, "\(source): \(error.lines.joined(separator: "\n"))").report()
            }
        }
    }
}
