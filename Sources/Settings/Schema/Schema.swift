// SPDX-License-Identifier: Apache-2.0

/// The settings that one mapping may have, its sub-mappings' included.
///
/// Each section has its own; the root's joins them.
struct Schema: Sendable {
    /// A line of the configuration reference.
    struct Row: Sendable {
        let path: String
        /// What may be written, as messages say it after "expected".
        let expectation: String
        /// The default as YAML.
        let standard: String?
        let meaning: String
        /// What JSON Schema says of its values.
        let schema: JSONValue
        let derivation: Derivation?
        /// False for what a later version will take.
        let isSupported: Bool

        /// A key, or a mapping with everything below it, that a later version will take.
        static func later(_ path: String) -> Row {
            Row(
                path: path, expectation: "", standard: nil, meaning: "Not supported in this version.", schema: [:],
                derivation: nil, isSupported: false)
        }
    }

    let rows: [Row]
    private let byPath: [String: Row]
    private let sections: Set<String>
    private let nullable: Set<String>
    private let synonyms: [String: String]
    private let remarks: [String: Set<String>]
    /// What of several keys together JSON Schema can say, by the mapping that they are in.
    let rules: [String: JSONValue]

    /// - Parameters:
    ///   - nullable: sub-mappings in whose place null may stand, which is what holds without them.
    ///   - synonyms: paths of keys by what other programs call them. A value has to mean the same there.
    ///   - rules: members of the JSON Schema of a mapping, by its path: what its keys may be beside each other.
    ///   - remarks: what to say of names whose values mean something else here, in lower case and with `_`.
    init(
        _ rows: [Row], nullable: Set<String> = [], synonyms: [String: String] = [:],
        remarks: [String: Set<String>] = [:], rules: [String: JSONValue] = [:]
    ) {
        self.rows = rows
        byPath = Dictionary(uniqueKeysWithValues: rows.map { ($0.path, $0) })
        sections = Set(rows.flatMap { Self.parents(of: $0.path) })
        self.nullable = nullable
        self.synonyms = synonyms
        self.remarks = remarks
        self.rules = rules
    }

    /// The settings of several, in this order.
    init(joining parts: [Schema]) {
        self.init(
            parts.flatMap(\.rows), nullable: parts.reduce(into: []) { $0.formUnion($1.nullable) },
            synonyms: parts.reduce(into: [:]) { $0.merge($1.synonyms) { first, _ in first } },
            remarks: parts.reduce(into: [:]) { $0.merge($1.remarks) { $0.union($1) } },
            rules: parts.reduce(into: [:]) { $0.merge($1.rules) { first, _ in first } })
    }

    /// The key that other programs call so.
    func synonym(_ name: String, below section: String) -> String? {
        synonyms[Self.path(name, below: section)]
    }

    func remark(_ name: String, below section: String) -> String? {
        remarks.first { $0.value.contains(Self.path(name, below: section)) }?.key
    }

    private static func path(_ name: String, below section: String) -> String {
        (section.isEmpty ? "" : section + ".") + name.lowercased().replacing("-", with: "_")
    }

    subscript(path: String) -> Row? { byPath[path] }

    func isSection(_ path: String) -> Bool { sections.contains(path) }

    func isNullable(_ path: String) -> Bool { nullable.contains(path) }

    /// Names of what may be given directly below `section`, which is empty for the root.
    func names(below section: String) -> [String] {
        let prefix = section.isEmpty ? "" : section + "."
        var names: [String] = []
        for row in rows where row.isSupported && row.path.hasPrefix(prefix) {
            let name = String(row.path.dropFirst(prefix.count).prefix(while: { $0 != "." }))
            if names.last != name { names.append(name) }
        }
        return names
    }

    /// The one key elsewhere in the schema that ends in `name`; nil where none or several do.
    func path(endingIn name: String) -> String? {
        let matches = rows.filter { $0.path.hasSuffix("." + name) }
        return matches.count == 1 ? matches[0].path : nil
    }

    /// `a` and `a.b` of `a.b.c`.
    private static func parents(of path: String) -> [String] {
        path.indices.filter { path[$0] == "." }.map { String(path[..<$0]) }
    }
}
