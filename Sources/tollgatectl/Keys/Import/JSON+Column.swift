// SPDX-License-Identifier: Apache-2.0

import Directory

extension JSON {
    /// What a column's record has of a value, but for moments.
    ///
    /// - Returns: nil where such a column has no such value.
    func text(as form: KeyColumn.Form) -> String? {
        switch (self, form) {
        case (.null, _): ""
        case (.string(let text), _): text
        case (.bool(let flag), .flag): flag ? "true" : "false"
        case (.integer(let number), .moment), (.integer(let number), .flag): String(number)
        case (.array(let elements), .words): Self.words(elements.map(\.string))
        case (.object(let members), .pairs):
            Self.words(members.map { name, value in value.string.map { "\(name)=\($0)" } })
        case (.object, .object): text
        case (.bool, _), (.integer, _), (.array, _), (.object, _), (.verbatim, _): nil
        }
    }

    private var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// Each is to be a text, and one with a space in it would be several.
    private static func words(_ texts: [String?]) -> String? {
        let words = texts.compactMap { $0 }.filter { !$0.isEmpty && !$0.contains(" ") }
        return words.count == texts.count ? words.joined(separator: " ") : nil
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
