// SPDX-License-Identifier: Apache-2.0

/// A mapping of the configuration, its sub-mappings flattened and its keys checked against a table.
struct Section {
    private let table: Table
    /// In front of the table's paths in messages: empty for the root, else `routes[1]`.
    private let prefix: String
    private let place: Place
    /// By the table's paths, the least important source first. All are judged, the last one counts.
    private var elements: [String: [Element]] = [:]
    /// Something in it isn't known, or is of a later version: what it lacks may be just that.
    private var hasUnread = false

    /// An empty mapping: every key has its default.
    init(_ table: Table) {
        self.table = table
        prefix = ""
        place = .builtIn
    }

    /// Reports unknown and unsupported keys. Nil where `element` is no mapping at all.
    init?(_ element: Element, _ prefix: String, _ table: Table, _ problems: inout ProblemList) {
        guard case .mapping(let pairs) = element.content else {
            problems.refuse(element, prefix, expected: "a mapping (key: value)")
            return nil
        }
        self.table = table
        self.prefix = prefix
        place = element.place
        collect(pairs, below: "", &problems)
    }

    private mutating func collect(_ pairs: [Element.Pair], below parent: String, _ problems: inout ProblemList) {
        for pair in pairs {
            guard let name = pair.key.scalar?.text else {
                problems.refuse(pair.key, prefixed(parent), expected: "the name of a key")
                continue
            }
            let path = parent.isEmpty ? name : "\(parent).\(name)"
            if let row = table[path] {
                if row.isSupported {
                    elements[path, default: []].append(pair.value)
                } else {
                    hasUnread = true
                    problems.add(Problem(at: pair.key.place, path: prefixed(path), "not supported in this version"))
                }
            } else if table.isSection(path) {
                if table.isNullable(path), case .nothing? = pair.value.scalar?.kind { continue }
                guard case .mapping(let inner) = pair.value.content else {
                    let names = table.names(below: path).prefix(3).joined(separator: ", ")
                    problems.refuse(pair.value, prefixed(path), expected: "a mapping with keys such as \(names)")
                    continue
                }
                collect(inner, below: path, &problems)
            } else {
                hasUnread = true
                let shown = prefixed(parent.isEmpty ? name.shown : "\(parent).\(name.shown)")
                problems.add(Problem(at: pair.key.place, path: shown, unknownKey(name, below: parent)))
            }
        }
    }

    private func unknownKey(_ name: String, below parent: String) -> String {
        let names = table.names(below: parent)
        if let remark = table.remark(name, below: parent) { return "unknown key (\(remark))" }
        if let meant = table.synonym(name, below: parent) { return "unknown key (did you mean \(prefixed(meant))?)" }
        if let guess = Spelling.nearest(to: name, among: names) {
            let path = prefixed(parent.isEmpty ? guess : "\(parent).\(guess)")
            return "unknown key (did you mean \(path)?)"
        }
        if let elsewhere = table.path(endingIn: name) { return "unknown key (did you mean \(prefixed(elsewhere))?)" }
        return "unknown key (expected \(names.alternatives))"
    }

    /// Puts `element` above what was given for the key so far.
    mutating func override(_ path: String, with element: Element) {
        precondition(table[path] != nil, "Only keys of the table can be given elsewhere")
        elements[path, default: []].append(element)
    }

    func isGiven(_ path: String) -> Bool { elements[path] != nil }

    /// The element that counts for a key, for a check across keys.
    func element<Value>(for key: Key<Value>) -> Element? { elements[key.path]?.last }

    /// The key's value or, where it isn't given or wrong, its default; wrong ones are reported.
    ///
    /// Only for keys that have a default.
    func value<Value>(_ key: Key<Value>, _ problems: inout ProblemList) -> Value {
        if let given = optional(key, &problems) { return given }
        guard let standard = key.standardValue else {
            preconditionFailure("The key \(key.path) has no default")
        }
        return standard
    }

    /// The key's value; nil where it isn't given or wrong. Wrong ones are reported.
    func optional<Value>(_ key: Key<Value>, _ problems: inout ProblemList) -> Value? {
        precondition(table[key.path] != nil, "A key that is read has to be in the table")
        var value: Value?
        for element in elements[key.path] ?? [] {
            value = key.form.read(element, prefixed(key.path), &problems)
        }
        return value
    }

    /// The key's value; nil where it isn't given or wrong, both of which are reported.
    ///
    /// - Parameter others: keys that might stand in its place.
    func required<Value>(_ key: Key<Value>, or others: String? = nil, _ problems: inout ProblemList) -> Value? {
        guard isGiven(key.path) else {
            guard !hasUnread else { return nil }
            let alternative = others.map { ", or \($0) in its place" } ?? ""
            problems.add(
                Problem(
                    at: place, path: prefixed(key.path),
                    "expected \(key.form.expectation)\(alternative), got no such key"))
            return nil
        }
        return optional(key, &problems)
    }

    /// Reports a conflict at the element of `key`.
    func refuse<Value>(
        _ key: Key<Value>, expected: String, got: String? = nil, hint: String? = nil, _ problems: inout ProblemList
    ) {
        refuse(key.path, expected: expected, got: got, hint: hint, &problems)
    }

    func refuse(
        _ path: String, expected: String, got: String? = nil, hint: String? = nil, _ problems: inout ProblemList
    ) {
        let element = elements[path]?.last ?? Element("", at: place)
        problems.refuse(element, prefixed(path), expected: expected, got: got, hint: hint)
    }

    private func prefixed(_ path: String) -> String {
        prefix.isEmpty || path.isEmpty ? prefix + path : "\(prefix).\(path)"
    }
}
