// SPDX-License-Identifier: Apache-2.0

// YAML 1.1's types are not followed: every scalar is a text here, and ``Scalar`` judges what it is.

extension Element {
    /// Anchors multiply what a small file says; an honest configuration stays far below this many elements.
    private static let mostElements = 100_000

    /// Reads one YAML document. Tags and keys that stand twice are reported, and passed over.
    ///
    /// - Throws: the first syntax error; behind it nothing can be told apart.
    init(parsing yaml: String, named file: String, _ problems: inout ProblemList) throws(Problem) {
        // A byte order mark is allowed, but libyaml takes one in front of a mapping for a text.
        let yaml = yaml.unicodeScalars.first == "\u{FEFF}" ? String(yaml.unicodeScalars.dropFirst()) : yaml
        let document: (root: YAMLNode?, repeated: [RepeatedKey])
        do {
            document = try YAMLNode.document(parsing: yaml)
        } catch {
            throw Problem(error, yaml: yaml, file: file)
        }
        guard let root = document.root else { throw Problem.emptyFile(file) }
        for key in document.repeated {
            problems.add(
                Problem(
                    at: .file(file, key.position), path: key.name.shown,
                    "expected each key once, got it again (first on line \(key.first.line))"))
        }
        var budget = Self.mostElements
        self = try Element(root, file: file, budget: &budget, &problems)
        if case .nothing = scalar?.kind { throw Problem.emptyFile(file) }
    }

    private init(
        _ node: YAMLNode, file: String, budget: inout Int, _ problems: inout ProblemList
    ) throws(Problem) {
        place = .file(file, node.mark)
        budget -= 1
        guard budget >= 0 else {
            throw Problem(at: place, "expected at most \(Self.mostElements) values, got more (anchors multiply them)")
        }
        switch node {
        case .scalar(let text, let isPlain, let tag, _):
            Self.check(tag, at: place, &problems)
            content = .scalar(Scalar(text: text, isQuoted: !isPlain))
        case .sequence(let items, let tag, _):
            Self.check(tag, at: place, &problems)
            var elements: [Element] = []
            for item in items { elements.append(try Element(item, file: file, budget: &budget, &problems)) }
            content = .list(elements)
        case .mapping(let nodes, let tag, _):
            Self.check(tag, at: place, &problems)
            var pairs: [Pair] = []
            for (key, value) in nodes {
                let key = try Element(key, file: file, budget: &budget, &problems)
                let value = try Element(value, file: file, budget: &budget, &problems)
                pairs.append(Pair(key: key, value: value))
            }
            content = .mapping(pairs.merged(&problems))
        }
    }

    private static let knownTags: Set<String> = [
        YAMLTag.nonSpecific, YAMLTag.text, YAMLTag.sequence, YAMLTag.mapping,
    ]

    private static func check(_ tag: String?, at place: Place, _ problems: inout ProblemList) {
        guard let tag, !knownTags.contains(tag) else { return }
        problems.add(Problem(at: place, "expected a plain value, got the YAML tag '\(tag.shown)'"))
    }
}

extension [Element.Pair] {
    /// Takes in what `<<: *anchor` names; keys that are written out win, the first of several mappings wins over the next.
    fileprivate func merged(_ problems: inout ProblemList) -> Self {
        guard contains(where: \.isMerge) else { return self }
        var result = filter { !$0.isMerge }
        var present = Set(result.compactMap(\.key.scalar?.text))
        for merge in self where merge.isMerge {
            for source in merge.value.mergeSources {
                guard case .mapping(let pairs) = source.content else {
                    problems.add(
                        Problem(
                            at: merge.key.place, path: "<<",
                            "expected an alias of a mapping or a list of such, got \(source.summary)"))
                    continue
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
            at: .file(file, nil),
            "expected settings, got an empty file (without --config everything has a default)")
    }

    /// The error without its snippet: the line may hold a password.
    fileprivate init(_ error: YAMLError, yaml: String, file: String) {
        switch error {
        case .syntax(let context, let start, let problem, let mark):
            let explanation = [context, problem].compactMap(\.self).joined(separator: ", ")
            let hint = Self.hint(explanation, lines: yaml.lines(from: start?.line, to: mark.line))
            self.init(at: .file(file, mark), "expected YAML, got a syntax error: \(explanation)\(hint)")
        case .anotherDocument(let mark):
            self.init(at: .file(file, mark), "expected one YAML document, got another one after '---'")
        case .undefinedAlias(let mark):
            self.init(at: .file(file, mark), "expected YAML, got a syntax error: found undefined alias")
        case .characters(let problem):
            self.init(at: .file(file, nil), "expected YAML, got a text that is none: \(problem)")
        case .memory:
            self.init(at: .file(file, nil), "expected YAML, got a text that can't be read as such")
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
}
