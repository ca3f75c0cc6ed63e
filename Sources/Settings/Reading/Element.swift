// SPDX-License-Identifier: Apache-2.0

import Octets

/// A piece of configuration with the place it was written at, whether it came from YAML, a flag or a variable.
struct Element: Sendable {
    enum Content: Sendable {
        case scalar(Scalar)
        case list([Element])
        case mapping([Pair])
    }

    struct Pair: Sendable {
        var key: Element
        var value: Element
    }

    var content: Content
    var place: Place
}

/// A single value as it was written.
///
/// Its type is judged by YAML 1.2's core schema, and `on`, `off`, `yes`, `no` are truth values as in 1.1, which is what
/// operators know. No other rule of 1.1 applies: `010` and `1:30` are texts.
struct Scalar: Sendable, Hashable {
    enum Kind { case nothing, truth(Bool), number, text }

    var text: String
    /// Quoted or in block style: a text, whatever it looks like.
    var isQuoted = false

    var kind: Kind { isQuoted ? .text : plainKind }

    private var plainKind: Kind {
        switch text {
        case "", "~", "null", "Null", "NULL": .nothing
        case "true", "True", "TRUE", "on", "On", "ON", "yes", "Yes", "YES": .truth(true)
        case "false", "False", "FALSE", "off", "Off", "OFF", "no", "No", "NO": .truth(false)
        default: looksLikeNumber ? .number : .text
        }
    }

    /// Decimal with optional sign, fraction and exponent; no leading zeros.
    private var looksLikeNumber: Bool {
        var rest = text.utf8[...]
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest.removeFirst() }
        guard let first = rest.first, first.isDigit else { return false }
        let isZero = first == UInt8(ascii: "0")
        rest.removeFirst()
        if isZero, rest.first?.isDigit == true { return false }
        let others = rest.drop(while: \.isDigit)
        return others.isEmpty
            || ([UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(others[others.startIndex])
                && Double(text) != nil)
    }
}

extension Element {
    init(_ text: String, isQuoted: Bool = false, at place: Place) {
        content = .scalar(Scalar(text: text, isQuoted: isQuoted))
        self.place = place
    }

    var scalar: Scalar? {
        if case .scalar(let scalar) = content { scalar } else { nil }
    }

    /// The element as a message shows it after "got": short, on one line and without secrets.
    var summary: String {
        switch content {
        case .list: "a list"
        case .mapping: "a mapping"
        case .scalar(let scalar): scalar.summary
        }
    }
}

extension Scalar {
    var summary: String {
        switch kind {
        case .nothing: return "nothing"
        case .truth, .number: return text.shown
        case .text:
            if text.isEmpty { return "an empty text" }
            // A quoted 5 must not look like the number it was meant to be.
            if case .text = plainKind { return "'\(text.shown)'" }
            return "the text '\(text.shown)'"
        }
    }
}

extension String {
    private static let longestShown = 80

    /// For messages: what stands before `@` in a URL is hidden, controls are escaped, and the end of a long text is cut.
    var shown: String {
        var result = ""
        for scalar in withoutCredentials.unicodeScalars {
            guard result.count < Self.longestShown else { return result + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private var withoutCredentials: String {
        guard let at = lastIndex(of: "@") else { return self }
        let before = self[..<at]
        guard let colon = before.firstIndex(of: ":") else { return self }
        let prefix = before[colon...].hasPrefix("://") ? before[...before.index(colon, offsetBy: 2)] : ""
        return prefix + "***" + self[at...]
    }
}
