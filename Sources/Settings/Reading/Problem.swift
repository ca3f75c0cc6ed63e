// SPDX-License-Identifier: Apache-2.0

/// Where a piece of configuration was written.
package enum Place: Sendable, Hashable {
    /// In a file as the operator named it; the line counts from 1, nil where the file as a whole is meant.
    case file(String, line: Int?)
    /// On the command line, by the flag's name.
    case flag(String)
    /// In the environment, by the variable's name.
    case variable(String)
    /// In this program's own table of defaults.
    case builtIn
}

/// One thing that is wrong with a configuration, as an operator reads it:
/// `tollgate.yaml:7: redis.timeout: expected a duration such as 30s or 500ms, got 50 (did you mean 50s?)`.
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

extension Problem: CustomStringConvertible {
    package var description: String {
        let key = path.isEmpty ? "" : "\(path): "
        switch place {
        case .file(let name, let line?): return "\(name):\(line): \(key)\(message)"
        case .file(let name, nil): return "\(name): \(key)\(message)"
        case .flag(let name), .variable(let name): return "\(name): \(message)"
        case .builtIn: return "\(key)\(message)"
        }
    }
}

/// Everything that is wrong with a configuration, in the order it was written; nothing of it has been put to use.
package struct ConfigurationError: Error, Sendable, Hashable {
    /// More than these are counted, not listed: they tend to follow from the first ones.
    package static let mostListed = 20

    /// At least one, at most ``mostListed``.
    package let problems: [Problem]
    /// How many more there were.
    package let omitted: Int

    /// The problems as lines of their own, for an operator to read.
    package var lines: [String] {
        problems.map(\.description) + (omitted > 0 ? ["and \(omitted) more"] : [])
    }
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
        let sorted = distinct.enumerated().sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
        let listed = sorted.prefix(ConfigurationError.mostListed).map(\.element)
        return ConfigurationError(problems: listed, omitted: distinct.count - listed.count)
    }
}

extension Problem {
    /// By line in the file, then the environment, then the command line.
    fileprivate var order: Int {
        switch place {
        case .builtIn: -1
        case .file(_, let line): line ?? 0
        case .variable: .max - 1
        case .flag: .max
        }
    }
}
