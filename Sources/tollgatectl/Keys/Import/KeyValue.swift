// SPDX-License-Identifier: Apache-2.0

import Directory

/// A value of a key as JSON has it. Any is one: whether it is right, the column knows that it stands in.
enum KeyValue: Decodable {
    case null
    case text(String)
    case flag(Bool)
    case number(Int)
    case words([String])
    case pairs([String: String])
    case object(JSON)
    case other

    init(from decoder: any Decoder) throws {
        guard let value = try? decoder.singleValueContainer() else {
            self = .other
            return
        }
        if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Int.self) {
            self = .number(number)
        } else if let words = try? value.decode([String].self) {
            self = .words(words)
        } else if let pairs = try? value.decode([String: String].self) {
            self = .pairs(pairs)
        } else if let object = try? value.decode([String: DecodedJSON].self) {
            self = .object(JSON(object))
        } else {
            self = .other
        }
    }

    /// As the column's record has it, but for moments.
    ///
    /// - Returns: nil where such a column has no such value.
    func text(as form: KeyColumn.Form) -> String? {
        switch (self, form) {
        case (.null, _): ""
        case (.text(let text), _): text
        case (.flag(let flag), .flag): flag ? "true" : "false"
        case (.number(let number), .moment), (.number(let number), .flag): String(number)
        case (.words(let words), .words): Self.joined(words)
        case (.pairs(let pairs), .pairs):
            Self.joined(pairs.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
        case (.pairs(let pairs), .object):
            JSON.object(pairs.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }).text
        case (.object(let object), .object): object.text
        case (.flag, _), (.number, _), (.words, _), (.pairs, _), (.object, _), (.other, _): nil
        }
    }

    /// One with a space in it would be several.
    private static func joined(_ words: [String]) -> String? {
        words.contains { $0.isEmpty || $0.contains(" ") } ? nil : words.joined(separator: " ")
    }
}

extension KeyColumn.Form {
    var expectation: String {
        switch self {
        case .text: "a text"
        case .flag: "true or false"
        case .moment: "a moment such as 2027-01-01T00:00:00Z, or seconds since 1970"
        case .words: "a list of texts without spaces"
        case .object: "an object, or JSON of one in a text"
        case .pairs: "an object such as {\"search\": \"100/10s\"}"
        }
    }
}
