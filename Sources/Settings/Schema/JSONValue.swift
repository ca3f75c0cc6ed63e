// SPDX-License-Identifier: Apache-2.0

/// A JSON value whose members keep their order.
indirect enum JSONValue: Sendable, Hashable {
    struct Member: Sendable, Hashable {
        var name: String
        var value: JSONValue
    }

    case null
    case truth(Bool)
    /// As it is written.
    case number(String)
    case text(String)
    case list([JSONValue])
    case object([Member])

    static func number(_ number: Int) -> Self { .number(String(number)) }

    static func texts(_ texts: some Sequence<String>) -> Self { .list(texts.map(JSONValue.text)) }

    /// The members of another object behind those of this one.
    func adding(_ other: JSONValue) -> JSONValue {
        guard case .object(let members) = self, case .object(let others) = other else { return self }
        return .object(members + others)
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral text: String) { self = .text(text) }
    init(booleanLiteral truth: Bool) { self = .truth(truth) }
    init(integerLiteral number: Int) { self = .number(number) }
    init(arrayLiteral elements: JSONValue...) { self = .list(elements) }
    init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(members.map { Member(name: $0, value: $1) })
    }
}

extension JSONValue {
    /// What YAML's scalars, lists and mappings are in JSON.
    init(_ element: Element) {
        switch element.content {
        case .list(let elements): self = .list(elements.map(JSONValue.init))
        case .mapping(let pairs):
            self = .object(pairs.map { Member(name: $0.key.scalar?.text ?? "", value: JSONValue($0.value)) })
        case .scalar(let scalar):
            switch scalar.kind {
            case .nothing: self = .null
            case .truth(let value): self = .truth(value)
            case .number: self = .number(scalar.text)
            case .text: self = .text(scalar.text)
            }
        }
    }
}

extension Element {
    /// As if it were written in quotes.
    init(_ value: JSONValue) {
        place = .builtIn
        content =
            switch value {
            case .null: .scalar(Scalar(text: "null"))
            case .truth(let truth): .scalar(Scalar(text: truth ? "true" : "false"))
            case .number(let text): .scalar(Scalar(text: text))
            case .text(let text): .scalar(Scalar(text: text, isQuoted: true))
            case .list(let elements): .list(elements.map(Element.init))
            case .object(let members):
                .mapping(members.map { Pair(key: Element($0.name, at: .builtIn), value: Element($0.value)) })
            }
    }
}

extension JSONValue {
    private static let longestLine = 100

    /// In lines, where it doesn't fit into one.
    func written(indentation: Int = 0) -> String {
        let line = inline
        if line.count + indentation <= Self.longestLine { return line }
        let parts: [String]
        let (open, close): (String, String)
        switch self {
        case .null, .truth, .number, .text: return line
        case .list(let elements):
            (open, close) = ("[", "]")
            parts = elements.map { $0.written(indentation: indentation + 2) }
        case .object(let members):
            (open, close) = ("{", "}")
            parts = members.map { "\($0.name.quoted): \($0.value.written(indentation: indentation + 2))" }
        }
        let blanks = String(repeating: " ", count: indentation)
        return "\(open)\n" + parts.map { "\(blanks)  \($0)" }.joined(separator: ",\n") + "\n\(blanks)\(close)"
    }

    /// On one line.
    var inline: String {
        switch self {
        case .null: "null"
        case .truth(let value): value ? "true" : "false"
        case .number(let text): text
        case .text(let text): text.quoted
        case .list(let elements): "[" + elements.map(\.inline).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\($0.name.quoted): \($0.value.inline)" }.joined(separator: ", ") + "}"
        }
    }
}

extension String {
    /// In double quotes, as JSON and YAML both read it. What no terminal shows is escaped; beyond U+FFFF in YAML's way alone.
    var quoted: String {
        var result = "\""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse, .surrogate:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                let width = scalar.value > 0xFFFF ? 8 : 4
                result += (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - digits.count) + digits
            default:
                if scalar == "\"" || scalar == "\\" { result += "\\" }
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
