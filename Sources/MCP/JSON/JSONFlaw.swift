// SPDX-License-Identifier: Apache-2.0

/// Why octets are no JSON text (RFC 8259), and where: the offset of the first octet that can't be.
package struct JSONFlaw: Error, Sendable, Hashable {
    package enum Rule: Sendable, Hashable {
        case unexpectedOctet
        /// A control character within a string (RFC 8259 §7).
        case controlCharacter
        case escape
        /// RFC 3629.
        case utf8
        case number
        /// Something follows the value.
        case trailing
        /// The end came within a value, or before any.
        case incomplete
    }

    package var rule: Rule
    package var offset: Int
}

extension JSONFlaw: CustomStringConvertible {
    package var description: String {
        switch rule {
        case .unexpectedOctet: "unexpected octet at offset \(offset)"
        case .controlCharacter: "control character in a string at offset \(offset)"
        case .escape: "invalid escape at offset \(offset)"
        case .utf8: "invalid UTF-8 at offset \(offset)"
        case .number: "malformed number at offset \(offset)"
        case .trailing: "more than one value at offset \(offset)"
        case .incomplete: "the text ends too early, at offset \(offset)"
        }
    }
}
