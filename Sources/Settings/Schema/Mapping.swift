// SPDX-License-Identifier: Apache-2.0

/// A mapping of the configuration, its sub-mappings flattened and its keys checked against a schema.
struct Mapping {
    private let schema: Schema
    /// In front of the schema's paths in messages: empty for the root, else `routes[1]`.
    private let prefix: String
    private let place: Place
    /// By the schema's paths, the least important source first. All are judged, the last one counts.
    private var elements: [String: [Element]] = [:]
    /// Something in it isn't known, or is of a later version: what it lacks may be just that.
    private var hasUnread = false

    /// An empty mapping: every key has its default.
    init(_ schema: Schema) {
        self.schema = schema
        prefix = ""
        place = .builtIn
    }

    /// Reports unknown and unsupported keys. Nil where `element` is no mapping at all.
    init?(_ element: Element, _ prefix: String, _ schema: Schema, _ problems: inout ProblemList) {
        guard case .mapping(let pairs) = element.content else {
            problems.refuse(element, prefix, expected: "a mapping (key: value)")
            return nil
        }
        self.schema = schema
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
            if let row = schema[path] {
                if row.isSupported {
                    elements[path, default: []].append(pair.value)
                } else {
                    hasUnread = true
                    problems.add(Problem(at: pair.key.place, path: prefixed(path), "not supported in this version"))
                }
            } else if schema.isSection(path) {
                if schema.isNullable(path), case .nothing? = pair.value.scalar?.kind { continue }
                guard case .mapping(let inner) = pair.value.content else {
                    let names = schema.names(below: path).prefix(3).joined(separator: ", ")
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
        let names = schema.names(below: parent)
        if let remark = schema.remark(name, below: parent) { return "unknown key (\(remark))" }
        if let meant = schema.synonym(name, below: parent) { return "unknown key (did you mean \(prefixed(meant))?)" }
        if let guess = Spelling.nearest(to: name, among: names) {
            let path = prefixed(parent.isEmpty ? guess : "\(parent).\(guess)")
            return "unknown key (did you mean \(path)?)"
        }
        if let elsewhere = schema.path(endingIn: name) { return "unknown key (did you mean \(prefixed(elsewhere))?)" }
        return "unknown key (expected \(names.alternatives))"
    }

    /// Puts `element` above what was given for the key so far.
    mutating func override(_ path: String, with element: Element) {
        precondition(schema[path] != nil, "Only keys of the schema can be given elsewhere")
        elements[path, default: []].append(element)
    }

    func isGiven(_ path: String) -> Bool { elements[path] != nil }

    func isGiven<Value>(_ setting: Setting<Value>) -> Bool { isGiven(setting.path) }

    /// All that was given for a key, the least important first.
    func elements(at path: String) -> [Element] { elements[path] ?? [] }

    /// The element that counts for a key.
    func element(at path: String) -> Element? { elements[path]?.last }

    /// The same, for a check across keys.
    func element<Value>(for setting: Setting<Value>) -> Element? { element(at: setting.path) }

    /// The key's value or, where it isn't given or wrong, its default; wrong ones are reported.
    ///
    /// Only for keys that have a default.
    func value<Value>(_ setting: Setting<Value>, _ problems: inout ProblemList) -> Value {
        if let given = optional(setting, &problems) { return given }
        guard let standard = setting.standardValue else {
            preconditionFailure("The key \(setting.path) has no default")
        }
        return standard
    }

    /// The key's value; nil where it isn't given or wrong. Wrong ones are reported.
    func optional<Value>(_ setting: Setting<Value>, _ problems: inout ProblemList) -> Value? {
        precondition(schema[setting.path] != nil, "A key that is read has to be in the schema")
        var value: Value?
        for element in elements[setting.path] ?? [] {
            value = setting.form.read(element, prefixed(setting.path), &problems)
        }
        return value
    }

    /// The key's value; nil where it isn't given or wrong, both of which are reported.
    ///
    /// - Parameter others: keys that might stand in its place.
    func required<Value>(_ setting: Setting<Value>, or others: String? = nil, _ problems: inout ProblemList) -> Value? {
        guard isGiven(setting.path) else {
            guard !hasUnread else { return nil }
            let alternative = others.map { ", or \($0) in its place" } ?? ""
            problems.add(
                Problem(
                    at: place, path: prefixed(setting.path),
                    "expected \(setting.form.expectation)\(alternative), got no such key"))
            return nil
        }
        return optional(setting, &problems)
    }

    /// Reports a conflict at the element of `setting`.
    func refuse<Value>(
        _ setting: Setting<Value>, expected: String, got: String? = nil, hint: String? = nil,
        _ problems: inout ProblemList
    ) {
        refuse(setting.path, expected: expected, got: got, hint: hint, &problems)
    }

    func refuse(
        _ path: String, expected: String, got: String? = nil, hint: String? = nil, _ problems: inout ProblemList
    ) {
        let element = elements[path]?.last ?? Element("", at: place)
        problems.refuse(element, prefixed(path), expected: expected, got: got, hint: hint)
    }

    /// Notes what is wrong with a key that is taken all the same: there or, where it isn't given, at the mapping.
    func warn(_ path: String, _ message: String, _ problems: inout ProblemList) {
        problems.add(Problem(at: elements[path]?.last?.place ?? place, path: prefixed(path), message))
    }

    private func prefixed(_ path: String) -> String {
        prefix.isEmpty || path.isEmpty ? prefix + path : "\(prefix).\(path)"
    }
}
