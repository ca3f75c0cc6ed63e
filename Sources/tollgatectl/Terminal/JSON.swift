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
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let number): String(number)
        case .string(let text): Self.quoted(text)
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { "\(Self.quoted($0)):\($1.text)" }.joined(separator: ",") + "}"
        case .verbatim(let text): Self.withoutCommands(text)
        }
    }

    private static func quoted(_ text: String) -> String {
        // Of a million keys the encoder would take minutes.
        if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            return "\"\(text)\""
        }
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
