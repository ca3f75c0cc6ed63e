// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Whether somebody expects a variable to be put in: `${NAME}` anywhere, or `$NAME` alone.
    ///
    /// Nothing is expanded here. What a secret store or a shell was to fill in would otherwise become a path or a prefix as
    /// it stands.
    var awaitsVariable: Bool {
        utf8.contains(UInt8(ascii: "$"))
            && (contains(/\$\{[A-Za-z_][A-Za-z0-9_]*[^}]*\}/) || wholeMatch(of: /\$[A-Za-z_][A-Za-z0-9_]*/) != nil)
    }
}

extension ConfigurationSources.Option {
    /// The one that stands for a key, or for an entry of it: `listen[0]`.
    init?(path: String) {
        let key = path.prefix { $0 != "[" }
        guard let option = Self.allCases.first(where: { $0.path == key }) else { return nil }
        self = option
    }
}
