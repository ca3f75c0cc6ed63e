// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// Reads, checks and completes a configuration.
    ///
    /// - Throws: everything that is wrong with it; a syntax error of YAML stands alone, since nothing behind it can be told.
    package static func load(_ sources: ConfigurationSources = ConfigurationSources()) throws(ConfigurationError)
        -> Settings
    {
        try load(sources, text: sources.text())
    }

    /// As ``load(_:)``, from what the file has said.
    package static func load(
        _ sources: ConfigurationSources, text: String?
    ) throws(ConfigurationError) -> Settings {
        try read(sources, text: text).settings
    }

    /// Where the admin address is, whatever else is wrong: a file that a running sidecar has refused says nothing against it.
    ///
    /// - Throws: why it can't be told.
    package static func admin(_ sources: ConfigurationSources) throws(ConfigurationError) -> TCPAddress? {
        var (mapping, others, own) = (Mapping(schema), ProblemList(), ProblemList())
        if let text = try sources.text(), let file = sources.path {
            do throws(Problem) {
                let root = try Element(parsing: text, named: file, &others)
                if let given = Mapping(root, "", schema, &others) { mapping = given }
            } catch {
                throw ConfigurationError(error)
            }
        }
        for (path, element) in sources.overrides { mapping.override(path, with: element) }
        let address = mapping.value(admin, &own)
        if let error = own.error { throw error }
        return address
    }

    /// As ``load(_:)``, from YAML at hand.
    ///
    /// - Parameter file: what messages call it.
    package static func parse(_ yaml: String, named file: String) throws(ConfigurationError) -> Settings {
        try read(yaml, named: file, ConfigurationSources()).settings
    }

    /// A configuration as ``load(_:)`` takes it, in YAML that it would take again, each value with where it comes from.
    /// Passwords are masked.
    package static func effective(_ sources: ConfigurationSources) throws(ConfigurationError) -> String {
        try effective(sources, showsSecrets: false)
    }

    static func effective(_ sources: ConfigurationSources, showsSecrets: Bool) throws(ConfigurationError) -> String {
        let (mapping, settings) = try read(sources, text: sources.text())
        return EffectiveText(mapping, settings, showsSecrets: showsSecrets).text
    }

    private static func read(
        _ sources: ConfigurationSources, text: String?
    ) throws(ConfigurationError) -> (mapping: Mapping, settings: Settings) {
        guard let text, let file = sources.path else { return try read(nil, sources) }
        return try read(text, named: file, sources)
    }

    private static func read(
        _ yaml: String, named file: String, _ sources: ConfigurationSources
    ) throws(ConfigurationError) -> (mapping: Mapping, settings: Settings) {
        let root: Element
        var problems = ProblemList()
        do {
            root = try Element(parsing: yaml, named: file, &problems)
        } catch {
            throw ConfigurationError(error)
        }
        return try read(root, sources, problems)
    }

    /// - Parameter problems: what was wrong with the text.
    private static func read(
        _ root: Element?, _ sources: ConfigurationSources, _ problems: ProblemList = ProblemList()
    ) throws(ConfigurationError) -> (mapping: Mapping, settings: Settings) {
        var problems = problems
        var mapping = Mapping(schema)
        if let root {
            guard let given = Mapping(root, "", schema, &problems) else {
                throw problems.error ?? ConfigurationError(Problem(at: root.place, "expected settings"))
            }
            mapping = given
        }
        for (path, element) in sources.overrides { mapping.override(path, with: element) }
        let settings = Settings(mapping, sources, &problems)
        if let error = problems.error { throw error }
        return (mapping, settings)
    }
}

extension ConfigurationError {
    init(_ problem: Problem) {
        problems = [problem]
    }
}
