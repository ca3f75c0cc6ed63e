// SPDX-License-Identifier: Apache-2.0

/// Where a piece of configuration was written.
package enum Place: Sendable, Hashable {
    /// In a file as the operator named it; nil where the file as a whole is meant.
    case file(String, Position?)
    /// On the command line, by the flag's name.
    case flag(String)
    /// In the environment, by the variable's name.
    case variable(String)
    /// In this program's own table of defaults.
    case builtIn
}

/// A character of a text, counted from 1.
package struct Position: Sendable, Hashable, Comparable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (one: Position, other: Position) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }
}

/// One thing that is wrong with a configuration, as an operator reads it:
/// `tollgate.yaml:7:12: redis.timeout: expected a duration such as 30s or 500ms, got 50 (did you mean 50s?)`.
package struct Problem: Sendable, Hashable {
    package let place: Place
    /// Dotted path of the key, `routes[1].path`; empty where no key is concerned.
    package let path: String
    package let message: String

    package init(at place: Place, path: String = "", _ message: String) {
        self.place = place
        self.path = path
        self.message = message
    }
}

extension Place: CustomStringConvertible {
    /// In the form that editors and terminals lead to the place by.
    package var description: String {
        switch self {
        case .file(let name, let position?): "\(name):\(position.line):\(position.column)"
        case .file(let name, nil), .flag(let name), .variable(let name): name
        case .builtIn: "default"
        }
    }
}

extension Problem: CustomStringConvertible {
    package var description: String {
        let key = path.isEmpty ? "" : "\(path): "
        switch place {
        case .file: return "\(place): \(key)\(message)"
        case .flag(let name), .variable(let name): return "\(name): \(message)"
        case .builtIn: return "\(key)\(message)"
        }
    }
}

extension Problem {
    /// As compilers write one, for whoever checks a file.
    package var asWarning: String {
        let key = path.isEmpty ? "" : "\(path): "
        switch place {
        case .file: return "\(place): warning: \(key)\(message)"
        case .flag(let name), .variable(let name): return "\(name): warning: \(message)"
        case .builtIn: return "warning: \(key)\(message)"
        }
    }
}

/// Everything that is wrong with a configuration, in the order it was written; nothing of it has been put to use.
package struct ConfigurationError: Error, Sendable, Hashable {
    /// More than these are counted, not listed, where nobody asked for all: they tend to follow from the first ones.
    package static let mostListed = 20

    /// At least one. A file is bounded, and so are these.
    package let problems: [Problem]

    /// The first problems as lines of their own, for an operator to read.
    package var lines: [String] {
        let omitted = problems.count - Self.mostListed
        return problems.prefix(Self.mostListed).map(\.description) + (omitted > 0 ? ["and \(omitted) more"] : [])
    }

    /// All of them.
    package var allLines: [String] { problems.map(\.description) }
}

extension ConfigurationError: CustomStringConvertible {
    package var description: String { lines.joined(separator: "\n") }
}

/// What has been found wrong so far while a configuration is read.
struct ProblemList {
    private var problems: [Problem] = []

    var isEmpty: Bool { problems.isEmpty }

    mutating func add(_ problem: Problem) {
        problems.append(problem)
    }

    /// Reports `element`: `expected …, got … (hint)`. What was got is described from the element unless given.
    mutating func refuse(
        _ element: Element, _ path: String, expected: String, got: String? = nil, hint: String? = nil
    ) {
        let suffix = hint.map { " (\($0))" } ?? ""
        add(Problem(at: element.place, path: path, "expected \(expected), got \(got ?? element.summary)\(suffix)"))
    }

    /// Nil if nothing is wrong. An anchor used twice is reported once.
    var error: ConfigurationError? {
        guard !problems.isEmpty else { return nil }
        var seen: Set<Problem> = []
        let distinct = problems.filter { seen.insert($0).inserted }
        return ConfigurationError(problems: distinct.inOrder)
    }
}

extension [Problem] {
    /// As they were written: in the file, then the environment, then the command line.
    var inOrder: [Problem] {
        enumerated().sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }.map(\.element)
    }
}

extension Problem {
    fileprivate var order: Position {
        switch place {
        case .builtIn: Position(line: -1, column: 0)
        case .file(_, let position): position ?? Position(line: 0, column: 0)
        case .variable: Position(line: .max, column: 0)
        case .flag: Position(line: .max, column: 1)
        }
    }
}
