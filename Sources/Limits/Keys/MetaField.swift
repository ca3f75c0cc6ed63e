// SPDX-License-Identifier: Apache-2.0

import Octets

/// A member of a ``Meta`` that sidecars say to their handler: `X-Tollgate-Meta-<name>`.
package struct MetaField: Sendable, Hashable {
    /// Octets that a value may have.
    package static let longestValue = 256

    /// Whose name it is in the JSON.
    package let name: String
    /// The field that says it. `_` is written as `-`: handlers that read fields as CGI does can't tell the two apart.
    package let header: String

    /// - Returns: nil where a text is no such name: 1 to 40 of A-Z a-z 0-9 _ -, the first of them a letter.
    package init?(_ name: String) {
        guard 1...40 ~= name.utf8.count, name.utf8.first?.isLetter == true,
            name.utf8.allSatisfy({ $0.isAlphanumeric || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.name = name
        header = "X-Tollgate-Meta-" + String(name.map { $0 == "_" ? "-" : $0 })
    }

    /// What tells it from others, as handlers read fields.
    package var identity: String { header.lowercased() }

    /// Whether a field can say it: 1 to ``longestValue`` of visible ASCII.
    package static func canSay(_ value: String) -> Bool {
        1...longestValue ~= value.utf8.count && value.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}

/// What a handler is told of a caller besides its names.
package struct MetaValue: Sendable, Hashable {
    package let field: MetaField
    package let value: String

    package init(_ field: MetaField, _ value: String) {
        self.field = field
        self.value = value
    }
}
