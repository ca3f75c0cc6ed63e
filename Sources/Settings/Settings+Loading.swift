// SPDX-License-Identifier: Apache-2.0

import Octets

/// Where a configuration comes from: flags beat the environment, which beats the file, which beats the defaults.
package struct ConfigurationSources: Sendable {
    /// What can be said without a file.
    package enum Option: String, Sendable, CaseIterable {
        case listen, upstream, redis, namespace, admin, logLevel

        package var flag: String {
            switch self {
            case .listen: "--listen"
            case .upstream: "--upstream"
            case .redis: "--redis"
            case .namespace: "--namespace"
            case .admin: "--admin"
            case .logLevel: "--log-level"
            }
        }

        package var variable: String {
            switch self {
            case .listen: "TOLLGATE_LISTEN"
            case .upstream: "TOLLGATE_UPSTREAM"
            case .redis: "TOLLGATE_REDIS_URL"
            case .namespace: "TOLLGATE_NAMESPACE"
            case .admin: "TOLLGATE_ADMIN"
            case .logLevel: "TOLLGATE_LOG_LEVEL"
            }
        }

        /// The key it stands for.
        package var path: String {
            switch self {
            case .listen: Schema.listen.path
            case .upstream: Schema.upstreamURL.path
            case .redis: Schema.redisURL.path
            case .namespace: Schema.namespace.path
            case .admin: Schema.admin.path
            case .logLevel: Schema.logLevel.path
            }
        }
    }

    /// Names the file where no flag does.
    package static let fileVariable = "TOLLGATE_CONFIG"

    /// Path of a YAML file, before that of ``fileVariable``; messages name it as it is written.
    package var file: String?
    package var flags: [Option: String]
    /// The process environment, as ``Swift/Dictionary/variable(_:)`` reads it.
    package var environment: [String: String]
    /// That the process may have, which bounds its connections; nil where the configuration isn't to run here.
    package var descriptors: Int?
    /// Whether folders that files and sockets are to be in have to be there by now.
    package var looksAtFolders: Bool

    package init(
        file: String? = nil, flags: [Option: String] = [:], environment: [String: String] = [:],
        descriptors: Int? = nil, looksAtFolders: Bool = false
    ) {
        self.file = file
        self.flags = flags
        self.environment = environment
        self.descriptors = descriptors
        self.looksAtFolders = looksAtFolders
    }
}

extension Settings {
    /// Reads, checks and completes a configuration.
    ///
    /// - Throws: everything that is wrong with it; a syntax error of YAML stands alone, since nothing behind it can be told.
    package static func load(_ sources: ConfigurationSources = ConfigurationSources()) throws(ConfigurationError)
        -> Settings
    {
        guard let file = sources.file ?? sources.environment.variable(ConfigurationSources.fileVariable) else {
            return try read(nil, sources)
        }
        let text: String
        do {
            text = try ConfigurationFile(path: file).text()
        } catch {
            throw ConfigurationError(error)
        }
        return try parse(text, named: file, sources)
    }

    /// As ``load(_:)``, from YAML at hand.
    ///
    /// - Parameter file: what messages call it.
    package static func parse(_ yaml: String, named file: String) throws(ConfigurationError) -> Settings {
        try parse(yaml, named: file, ConfigurationSources())
    }

    private static func parse(
        _ yaml: String, named file: String, _ sources: ConfigurationSources
    ) throws(ConfigurationError) -> Settings {
        let root: Element
        do {
            root = try Element(parsing: yaml, named: file)
        } catch {
            throw ConfigurationError(error)
        }
        return try read(root, sources)
    }

    private static func read(
        _ root: Element?, _ sources: ConfigurationSources
    ) throws(ConfigurationError) -> Settings {
        var problems = ProblemList()
        var section = Section(Schema.root)
        if let root {
            guard let given = Section(root, "", Schema.root, &problems) else {
                throw problems.error ?? ConfigurationError(Problem(at: root.place, "expected settings"))
            }
            section = given
        }
        for (path, element) in sources.overrides { section.override(path, with: element) }
        let settings = Settings(section, sources, &problems)
        if let error = problems.error { throw error }
        return settings
    }
}

extension ConfigurationSources {
    /// The least important first.
    fileprivate var overrides: [(path: String, element: Element)] {
        let variables = Option.allCases.compactMap { option -> (String, Element)? in
            guard let text = environment.variable(option.variable) else { return nil }
            return (option.path, Element(option, text, at: .variable(option.variable)))
        }
        let flags = Option.allCases.compactMap { option in
            self.flags[option].map { (option.path, Element(option, $0, at: .flag(option.flag))) }
        }
        return variables + flags
    }
}

extension Element {
    /// Several addresses to listen on are separated by commas.
    fileprivate init(_ option: ConfigurationSources.Option, _ text: String, at place: Place) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        if option == .listen, parts.count > 1 {
            self = Element(content: .list(parts.map { Element($0.trimmingWhiteSpace, at: place) }), place: place)
        } else {
            self = Element(text, at: place)
        }
    }
}

extension [String: String] {
    /// A variable of an environment without the white space around it; nil where nothing is left.
    package func variable(_ name: String) -> String? {
        self[name].map(\.trimmingWhiteSpace).flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension ConfigurationError {
    init(_ problem: Problem) {
        problems = [problem]
        omitted = 0
    }
}
