// SPDX-License-Identifier: Apache-2.0

import Octets

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What `--json` prints: members in the order they are given, as the documentation shows them.
enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])
    /// A JSON text that was read before.
    case verbatim(String)

    init(_ text: String?) {
        self = text.map(JSON.string) ?? .null
    }

    init(_ number: Int?) {
        self = number.map(JSON.integer) ?? .null
    }

    /// On one line.
    var text: String {
        var text = ""
        append(to: &text)
        return text
    }

    private func append(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let number): text += String(number)
        case .string(let string): Self.append(quoted: string, to: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += "," }
                element.append(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, (name, value)) in members.enumerated() {
                if index > 0 { text += "," }
                Self.append(quoted: name, to: &text)
                text += ":"
                value.append(to: &text)
            }
            text += "}"
        case .verbatim(let verbatim): text += Self.withoutCommands(verbatim)
        }
    }

    private static func append(quoted string: String, to text: inout String) {
        // Of a million keys the encoder would take minutes.
        if string.utf8.allSatisfy({ 0x20...0x7E ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            text += "\""
            text += string
            text += "\""
        } else {
            text += encoded(string)
        }
    }

    private static func encoded(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        // A String always encodes.
        guard let data = try? encoder.encode(text) else { return "\"\"" }
        let encoded = String(decoding: data, as: UTF8.self)
        if encoded.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return encoded }
        return withoutCommands(encoded)
    }

    /// Valid as they are, but a terminal obeys some that the encoder leaves. They can only stand within strings.
    private static func withoutCommands(_ encoded: String) -> String {
        encoded.unicodeScalars.reduce(into: "") { text, scalar in
            if scalar.isCommand {
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }
}
