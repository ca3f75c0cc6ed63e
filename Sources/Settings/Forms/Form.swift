// SPDX-License-Identifier: Apache-2.0

/// How one kind of value is written, and how it is read.
///
/// 1. What it reads it also judges: a value that comes out can be used as it is.
/// 2. A refusal is reported once, at the element concerned, and no value comes out.
struct Form<Value: Sendable>: Sendable {
    /// What a message names after "expected".
    let expectation: String
    /// What of it JSON Schema can say.
    let schema: JSONValue
    let read: @Sendable (_ element: Element, _ path: String, _ problems: inout ProblemList) -> Value?
}

/// Why a scalar is not what its form expects; what is left out is said by the form.
struct Mismatch: Error {
    var expected: String?
    var got: String?
    var hint: String?
}

extension Form {
    /// A form of single values. A list or mapping is refused before `parse` is asked.
    ///
    /// - Parameter guesses: what a text that isn't taken may have been meant to be. The first that is taken is offered.
    static func scalar(
        _ expectation: String, schema: JSONValue = ["type": ["string", "number", "boolean", "null"]],
        guesses: @escaping @Sendable (String) -> [String] = { _ in [] },
        _ parse: @escaping @Sendable (Scalar) throws(Mismatch) -> Value
    ) -> Self {
        Form(expectation: expectation, schema: schema) { element, path, problems in
            guard let scalar = element.scalar else {
                problems.refuse(element, path, expected: expectation, hint: element.structureHint)
                return nil
            }
            // A shell or a secret store has seen to flags and variables, and a password may be anything.
            if case .file = element.place, scalar.text.awaitsVariable {
                problems.refuse(element, path, expected: expectation, hint: scalar.variableHint(for: path))
                return nil
            }
            do throws(Mismatch) {
                return try parse(scalar)
            } catch {
                // Behind an @ there may have been a password before it, which a guess would show.
                let guess =
                    scalar.text.contains("@")
                    ? nil : guesses(scalar.text).first { (try? parse(Scalar(text: $0))) != nil }
                problems.refuse(
                    element, path, expected: error.expected ?? expectation, got: error.got,
                    hint: error.hint ?? guess.flatMap(\.offered))
                return nil
            }
        }
    }

    /// A form of texts: what YAML takes for a number, a truth value or nothing is refused.
    static func text(
        _ expectation: String, schema: JSONValue = ["type": "string"],
        guesses: @escaping @Sendable (String) -> [String] = { _ in [] },
        _ parse: @escaping @Sendable (String) throws(Mismatch) -> Value
    ) -> Self {
        scalar(expectation, schema: schema, guesses: guesses) { scalar throws(Mismatch) in
            switch scalar.kind {
            case .text: return try parse(scalar.text)
            case .nothing: throw Mismatch()
            case .number, .truth:
                // Only where quoting would help: `name: 5x` is a better hint than a second refusal.
                let wouldPass = (try? parse(scalar.text)) != nil
                throw Mismatch(hint: wouldPass ? "quote it to make it a text" : nil)
            }
        }
    }
}

extension Scalar {
    /// For one that awaits a variable: what can be done instead.
    fileprivate func variableHint(for path: String) -> String {
        let option = ConfigurationSources.Option(path: path).map { "; \($0.variable) sets this key" } ?? ""
        let literal = text.contains("://") ? "; a $ of the URL itself is written %24" : ""
        return "variables aren't expanded here\(option)\(literal)"
    }
}

extension String {
    /// As a hint offers it in place of what was written; nil where there may be a password in it, which isn't shown.
    var offered: String? { contains("@") ? nil : "did you mean \(shown)?" }
}

extension Element {
    /// For a list or mapping where a single value belongs: what it most likely came from.
    fileprivate var structureHint: String? {
        switch content {
        case .scalar: nil
        case .list(let elements):
            elements.first?.looksLikeAddress == true ? "IPv6 addresses are quoted: \"[::1]:8080\"" : nil
        case .mapping(let pairs):
            pairs.contains { $0.key.looksLikeAddress || $0.value.looksLikeAddress }
                ? "IPv6 addresses are quoted: \"::1/128\"" : nil
        }
    }

    private var looksLikeAddress: Bool {
        switch content {
        case .scalar(let scalar): scalar.text.contains("::") || scalar.text.hasPrefix(":")
        case .mapping(let pairs): pairs.contains { $0.key.looksLikeAddress || $0.value.looksLikeAddress }
        case .list: false
        }
    }
}
