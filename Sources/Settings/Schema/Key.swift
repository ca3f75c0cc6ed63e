// SPDX-License-Identifier: Apache-2.0

/// One key of the configuration: how it is written, what holds without it, and what it is for.
struct Key<Value: Sendable>: Sendable {
    /// From the root or, in the entries of a list, from the entry: `redis.timeout`, `match.routes`.
    let path: String
    let form: Form<Value>
    /// The default as YAML; nil where the key is required, or where ``Row/meaning`` tells what holds without it.
    let standard: String?
    let meaning: String

    init(_ path: String, _ form: Form<Value>, default standard: String? = nil, _ meaning: String) {
        self.path = path
        self.form = form
        self.standard = standard
        self.meaning = meaning
    }

    /// The key without its type, for tables.
    var row: Row {
        Row(path: path, expectation: form.expectation, standard: standard, meaning: meaning, isSupported: true)
    }

    /// What holds where the key isn't given.
    var standardValue: Value? {
        guard let standard else { return nil }
        var problems = ProblemList()
        guard let element = try? Element(parsing: standard, named: path),
            let value = form.read(element, path, &problems)
        else {
            preconditionFailure("The default of \(path) is none of its values: \(problems.error?.description ?? "")")
        }
        return value
    }
}

/// A line of the configuration reference.
package struct Row: Sendable, Hashable {
    package let path: String
    /// What may be written, as messages say it after "expected".
    package let expectation: String
    /// The default as YAML.
    package let standard: String?
    package let meaning: String
    /// False for what a later version will take.
    package let isSupported: Bool

    /// A key, or a mapping with everything below it, that a later version will take.
    static func later(_ path: String) -> Row {
        Row(path: path, expectation: "", standard: nil, meaning: "Not supported in this version.", isSupported: false)
    }
}

/// The keys that one mapping may have, its sub-mappings' included.
package struct Table: Sendable {
    package let rows: [Row]
    private let byPath: [String: Row]
    private let sections: Set<String>
    private let nullable: Set<String>
    private let synonyms: [String: String]
    private let remarks: [String: Set<String>]

    /// - Parameters:
    ///   - nullable: sub-mappings in whose place null may stand, which is what holds without them.
    ///   - synonyms: paths of keys by what other programs call them. A value has to mean the same there.
    ///   - remarks: what to say of names whose values mean something else here, in lower case and with `_`.
    init(
        _ rows: [Row], nullable: Set<String> = [], synonyms: [String: String] = [:],
        remarks: [String: Set<String>] = [:]
    ) {
        self.rows = rows
        byPath = Dictionary(uniqueKeysWithValues: rows.map { ($0.path, $0) })
        sections = Set(rows.flatMap { Self.parents(of: $0.path) })
        self.nullable = nullable
        self.synonyms = synonyms
        self.remarks = remarks
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

    /// The one key elsewhere in the table that ends in `name`; nil where none or several do.
    func path(endingIn name: String) -> String? {
        let matches = rows.filter { $0.path.hasSuffix("." + name) }
        return matches.count == 1 ? matches[0].path : nil
    }

    /// `a` and `a.b` of `a.b.c`.
    private static func parents(of path: String) -> [String] {
        path.indices.filter { path[$0] == "." }.map { String(path[..<$0]) }
    }
}
