// SPDX-License-Identifier: Apache-2.0

/// A configuration that is in force, as YAML that reads back as the same, with the source of each value behind it.
///
/// 1. What is given, and defaults that are the same everywhere, is in force in the text too.
/// 2. What depends on the rest or on the machine, and what is built in, is commented out, so that it goes on depending.
/// 3. Passwords of URLs are masked, unless they are to be shown.
///
/// It goes over the schema, as reading does, so that no setting is left out.
struct EffectiveText {
    fileprivate struct Line {
        var text: String
        var source: String?
        var isInForce = true
    }

    private let mapping: Mapping
    private let settings: Settings
    private let showsSecrets: Bool
    private var lines: [Line] = []
    /// Keys in whose place nothing holds.
    private var unset: [String] = []

    /// - Parameter settings: what was read from the mapping.
    init(_ mapping: Mapping, _ settings: Settings, showsSecrets: Bool) {
        self.mapping = mapping
        self.settings = settings
        self.showsSecrets = showsSecrets
        addSection("", indentation: "")
    }

    var text: String {
        let head = """
            # Tollgate \(Version.current): the configuration in force, and where each value comes from. Lines that begin with # and a
            # key are computed from the others or from the machine, or built in: they needn't be written.

            """
        let widest = lines.lazy.filter { $0.source != nil }.map(\.written.count).filter { $0 <= Self.column }.max() ?? 0
        let body = lines.map { line in
            guard let source = line.source else { return line.written + "\n" }
            let blanks = String(repeating: " ", count: max(0, widest - line.written.count))
            return "\(line.written)\(blanks)  # \(source)\n"
        }
        let tail = unset.isEmpty ? "" : "# Not set: \(unset.joined(separator: ", "))\n"
        return head + "\n" + body.joined() + tail
    }

    /// Sources of longer lines stand right behind them.
    private static let column = 72

    private mutating func addSection(_ section: String, indentation: String) {
        for name in Settings.schema.names(below: section) {
            let path = section.isEmpty ? name : "\(section).\(name)"
            if let row = Settings.schema[path] {
                add(row, named: name, indentation)
            } else {
                let start = lines.count
                addSection(path, indentation: indentation + "  ")
                guard lines.count > start else { continue }
                let isInForce = lines[start...].contains(where: \.isInForce)
                lines.insert(Line(text: "\(indentation)\(name):", isInForce: isInForce), at: start)
            }
        }
    }

    private mutating func add(_ row: Schema.Row, named name: String, _ indentation: String) {
        if let element = mapping.element(at: row.path) {
            add("\(indentation)\(name):", element, indentation + "  ")
            for entry in row.derivation?.additions(settings, element) ?? [] {
                addComment("\(indentation)  - \(flow(Element(entry)))", "built in")
            }
        } else if let derivation = row.derivation {
            switch derivation.value(settings) {
            case nil: unset.append(row.path)
            case .list(let entries)? where entries.contains(where: \.isObject):
                addComment("\(indentation)\(name):", nil)
                for entry in entries { addComment("\(indentation)  - \(flow(Element(entry)))", "built in") }
            case let value?: addComment("\(indentation)\(name): \(flow(Element(value)))", "default, computed")
            }
        } else if let standard = row.standard {
            lines.append(Line(text: "\(indentation)\(name): \(standard)", source: "default"))
        } else {
            unset.append(row.path)
        }
    }

    private mutating func addComment(_ text: String, _ source: String?) {
        lines.append(Line(text: text, source: source, isInForce: false))
    }

    /// - Parameters:
    ///   - beginning: of the line, up to the value.
    ///   - indentation: of what is within the element.
    private mutating func add(_ beginning: String, _ element: Element, _ indentation: String) {
        switch element.content {
        case .mapping(let pairs) where !pairs.isEmpty:
            // The first pair of a list's entry stands behind its dash.
            var opening = indentation
            if beginning.hasSuffix("-") { opening = beginning + " " } else { lines.append(Line(text: beginning)) }
            for pair in pairs {
                add("\(opening)\(flow(pair.key)):", pair.value, indentation + "  ")
                opening = indentation
            }
        case .list(let elements) where !elements.allSatisfy({ $0.scalar != nil }):
            lines.append(Line(text: beginning))
            for element in elements { add("\(indentation)-", element, indentation + "  ") }
        case .scalar, .list, .mapping:
            lines.append(Line(text: "\(beginning) \(flow(element))", source: element.place.source))
        }
    }

    /// On one line.
    private func flow(_ element: Element) -> String {
        switch element.content {
        case .scalar(let scalar): scalar.yaml(showsSecrets: showsSecrets)
        case .list(let elements): "[" + elements.map(flow).joined(separator: ", ") + "]"
        case .mapping(let pairs): "{" + pairs.map { "\(flow($0.key)): \(flow($0.value))" }.joined(separator: ", ") + "}"
        }
    }
}

extension EffectiveText.Line {
    fileprivate var written: String { isInForce ? text : "#\(text)" }
}

extension JSONValue {
    fileprivate var isObject: Bool { if case .object = self { true } else { false } }
}

extension Place {
    fileprivate var source: String {
        switch self {
        case .file(let name, let position): "\(name.shown)\(position.map { ":\($0.line)" } ?? "")"
        case .variable(let name): "variable \(name)"
        case .flag(let name): "flag \(name)"
        case .builtIn: "default"
        }
    }
}
