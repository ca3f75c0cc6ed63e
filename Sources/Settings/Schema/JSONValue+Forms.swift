// SPDX-License-Identifier: Apache-2.0

import Limits

// What JSON Schema 2020-12 says of kinds of values: what an editor can check of what a ``Form`` reads. Patterns are those of
// ECMA-262, and don't leave the part that Python's have too.

extension JSONValue {
    /// Texts that match all of a pattern.
    static func pattern(_ pattern: String) -> JSONValue { ["type": "string", "pattern": .text("^(?:\(pattern))$")] }

    static func anyOf(_ values: JSONValue...) -> JSONValue { ["anyOf": .list(values)] }

    static func integer(_ range: ClosedRange<Int>) -> JSONValue {
        ["type": "integer", "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound)]
    }

    static func list(of items: JSONValue, isEmptyAllowed: Bool = false) -> JSONValue {
        let most: JSONValue = ["type": "array", "items": items, "maxItems": .number(ListBounds.most)]
        return isEmptyAllowed ? most : most.adding(["minItems": 1])
    }

    /// Values by names that the operator chooses.
    static func named(_ name: String, _ values: JSONValue) -> JSONValue {
        ["type": "object", "propertyNames": .pattern(name), "additionalProperties": values, "minProperties": 1]
    }

    /// What is taken for `off`: YAML 1.1 reads a truth value, 1.2 a text.
    static let off: JSONValue = .anyOf(["const": false], .pattern("off|Off|OFF|no|No|NO"))
}

/// Parts of patterns.
enum Pattern {
    /// At most 65535, with or without zeros before it.
    static let port = #"(?:[0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"#
    static let host = #"(?:\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9._-]{1,253})"#
    static let authority = "\(host)(?::\(port))?"
    static let token = #"[A-Za-z0-9!#$%&'*+.^_`|~-]"#
    /// Without spaces, controls and a `!` at its beginning.
    static let tool = #"(?!!)[^\s\u0000-\u001f\u007f-\u009f]{1,128}"#
    /// Of a socket, with at most so many characters.
    static func socket(_ longest: Int) -> String { "unix:/.{0,\(longest - 2)}[^/]" }
}
