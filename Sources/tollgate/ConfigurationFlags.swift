// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings

/// The configuration's file, and what of it can be said on the command line.
struct ConfigurationFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Configuration in YAML or JSON. [TOLLGATE_CONFIG]", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Where clients connect; several by commas. [TOLLGATE_LISTEN]", valueName: "address"))
    var listen: String?
    @Option(help: ArgumentHelp("URL of the handler. [TOLLGATE_UPSTREAM]", valueName: "url"))
    var upstream: String?
    @Option(
        help: ArgumentHelp(
            "Where keys and limits are. Others see the command line: give a password by variable. [TOLLGATE_REDIS_URL]",
            valueName: "url"))
    var redis: String?
    @Option(
        help: ArgumentHelp(
            "First part of every Redis key; sidecars that share it share limits. [TOLLGATE_NAMESPACE]",
            valueName: "name"))
    var namespace: String?
    @Option(
        help: ArgumentHelp("Address of /readyz, /metrics and /status, or off. [TOLLGATE_ADMIN]", valueName: "address"))
    var admin: String?
    @Option(help: ArgumentHelp("debug, info, warning or error. [TOLLGATE_LOG_LEVEL]", valueName: "level"))
    var logLevel: String?

    private var flags: [ConfigurationSources.Option: String] {
        let values: KeyValuePairs<ConfigurationSources.Option, String?> = [
            .listen: listen, .upstream: upstream, .redis: redis, .namespace: namespace, .admin: admin,
            .logLevel: logLevel,
        ]
        return Dictionary(uniqueKeysWithValues: values.compactMap { key, value in value.map { (key, $0) } })
    }

    /// - Parameter descriptors: that the process may have, where it is to run by them.
    func sources(environment: [String: String], descriptors: Int? = nil) -> ConfigurationSources {
        ConfigurationSources(
            file: config, flags: flags, environment: environment, descriptors: descriptors,
            readsSecrets: descriptors != nil)
    }
}
