// SPDX-License-Identifier: Apache-2.0

import Yams

// The only file that knows Yams. Its duplicate check and marks are used; its types, which follow YAML 1.1, are not:
// `.basic` resolves nothing.

extension Element {
    /// Anchors multiply what a small file says; an honest configuration stays far below this many elements.
    private static let mostElements = 100_000

    /// Reads one YAML document.
    ///
    /// - Throws: the first syntax error; behind it nothing can be told apart.
    init(parsing yaml: String, named file: String) throws(Problem) {
        // A byte order mark is allowed, but Yams takes one in front of a mapping for a text.
        let yaml = yaml.unicodeScalars.first == "\u{FEFF}" ? String(yaml.unicodeScalars.dropFirst()) : yaml
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml, .basic, .default, .utf8)
        } catch let error as YamlError {
            throw Problem(error, yaml: yaml, file: file)
        } catch {
            throw Problem(at: .file(file, line: nil), "expected YAML, got an unreadable text: \(error)")
        }
        guard let node else { throw Problem.emptyFile(file) }
        var budget = Self.mostElements
        self = try Element(node, file: file, line: 1, budget: &budget)
        if case .nothing = scalar?.kind { throw Problem.emptyFile(file) }
    }

    private init(_ node: Node, file: String, line parentLine: Int, budget: inout Int) throws(Problem) {
        let line = node.mark?.line ?? parentLine
        place = .file(file, line: line)
        budget -= 1
        guard budget >= 0 else {
            throw Problem(at: place, "expected at most \(Self.mostElements) values, got more (anchors multiply them)")
        }
        switch node {
        case .scalar(let scalar):
            try Self.check(scalar.tag, at: place)
            content = .scalar(Scalar(text: scalar.string, isQuoted: scalar.style != .plain))
        case .sequence(let sequence):
            try Self.check(sequence.tag, at: place)
            var elements: [Element] = []
            for item in sequence {
                elements.append(try Element(item, file: file, line: line, budget: &budget))
            }
            content = .list(elements)
        case .mapping(let mapping):
            try Self.check(mapping.tag, at: place)
            var pairs: [Pair] = []
            for (key, value) in mapping {
                let key = try Element(key, file: file, line: line, budget: &budget)
                let value = try Element(value, file: file, line: line, budget: &budget)
                pairs.append(Pair(key: key, value: value))
            }
            content = .mapping(try pairs.merged())
        case .alias:
            // Aliases are resolved by the composer; only hand-made nodes have this case.
            throw Problem(at: place, "expected a value, got an alias")
        }
    }

    private static let knownTags: Set<String> = [
        Tag.Name.implicit.rawValue, Tag.Name.nonSpecific.rawValue, Tag.Name.str.rawValue, Tag.Name.seq.rawValue,
        Tag.Name.map.rawValue,
    ]

    private static func check(_ tag: Tag, at place: Place) throws(Problem) {
        guard !knownTags.contains(tag.description) else { return }
        throw Problem(at: place, "expected a plain value, got the YAML tag '\(tag.description.shown)'")
    }
}

extension [Element.Pair] {
    /// Takes in what `<<: *anchor` names; keys that are written out win, the first of several mappings wins over the next.
    fileprivate func merged() throws(Problem) -> Self {
        guard contains(where: \.isMerge) else { return self }
        var result = filter { !$0.isMerge }
        var present = Set(result.compactMap(\.key.scalar?.text))
        for merge in self where merge.isMerge {
            for source in merge.value.mergeSources {
                guard case .mapping(let pairs) = source.content else {
                    throw Problem(
                        at: merge.key.place, path: "<<",
                        "expected an alias of a mapping or a list of such, got \(source.summary)")
                }
                for pair in pairs {
                    guard let name = pair.key.scalar?.text, !present.contains(name) else { continue }
                    present.insert(name)
                    result.append(pair)
                }
            }
        }
        return result
    }
}

extension Element.Pair {
    fileprivate var isMerge: Bool { key.scalar == Scalar(text: "<<") }
}

extension Element {
    fileprivate var mergeSources: [Element] {
        if case .list(let elements) = content { elements } else { [self] }
    }
}

// MARK: - Syntax errors

extension Problem: Error {
    fileprivate static func emptyFile(_ file: String) -> Problem {
        Problem(
            at: .file(file, line: nil),
            "expected settings, got an empty file (without --config everything has a default)")
    }

    /// The error without its snippet: the line may hold a password.
    fileprivate init(_ error: YamlError, yaml: String, file: String) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _):
            let explanation = [context.map { $0.text }, problem].compactMap(\.self).joined(separator: ", ")
            let hint = Self.hint(explanation, lines: yaml.lines(from: context?.mark.line, to: mark.line))
            self.init(at: .file(file, line: mark.line), "expected YAML, got a syntax error: \(explanation)\(hint)")
        case .composer(_, let problem, let mark, _) where problem.contains("document"):
            self.init(at: .file(file, line: mark.line), "expected one YAML document, got another one after '---'")
        case .composer(_, let problem, let mark, _):
            self.init(at: .file(file, line: mark.line), "expected YAML, got a syntax error: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            let name = keys.first ?? ""
            let second = yaml.line(repeating: name, after: context.mark)
            let first = second == nil ? "" : " (first on line \(context.mark.line))"
            self.init(
                at: .file(file, line: second ?? context.mark.line), path: name.shown,
                "expected each key once, got it again\(first)")
        case .reader(let problem, _, _, _):
            self.init(at: .file(file, line: nil), "expected YAML, got a text that is none: \(problem)")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            self.init(at: .file(file, line: nil), "expected YAML, got a text that can't be read as such")
        }
    }

    private static func hint(_ problem: String, lines: [Substring]) -> String {
        if lines.contains(where: { $0.contains("[::") || $0.contains("[fe80:") }) {
            return " (IPv6 addresses are quoted: \"[::1]:8080\")"
        }
        if lines.contains(where: { $0.contains("\t") }) { return " (indent with spaces, not tabs)" }
        if problem.contains("scanning an alias"), lines.contains(where: { $0.contains("*]") || $0.contains("*,") }) {
            return " (\"*\" is quoted)"
        }
        return problem.contains("cannot start any token") ? " (quote the value)" : ""
    }
}

extension String {
    /// Lines `first` through `last`, counted from 1.
    fileprivate func lines(from first: Int?, to last: Int) -> [Substring] {
        let all = split(separator: "\n", omittingEmptySubsequences: false)
        let start = Swift.min(first ?? last, last)
        return all.indices.filter { (start...last).contains($0 + 1) }.map { all[$0] }
    }

    /// The line on which a block mapping repeats `key`, which it had at `mark`; nil where that can't be told.
    fileprivate func line(repeating key: String, after mark: Mark) -> Int? {
        let all = split(separator: "\n", omittingEmptySubsequences: false)
        guard !key.isEmpty, mark.line < all.count else { return nil }
        for index in mark.line..<all.count {
            let line = all[index]
            let indent = line.prefix(while: { $0 == " " }).count
            let text = line.dropFirst(indent)
            if text.isEmpty || text.hasPrefix("#") { continue }
            if indent + 1 < mark.column, !text.hasPrefix("- ") { return nil }
            guard indent + 1 == mark.column else { continue }
            let unquoted = text.drop(while: { $0 == "\"" || $0 == "'" })
            guard unquoted.hasPrefix(key) else { continue }
            let rest = unquoted.dropFirst(key.count).drop(while: { $0 == "\"" || $0 == "'" || $0 == " " })
            if rest.hasPrefix(":") { return index + 1 }
        }
        return nil
    }
}
