// SPDX-License-Identifier: Apache-2.0

/// A line of CSV (RFC 4180), taken apart and put together. Fields have no line ends in them.
enum CSVLine {
    private static let (quote, comma) = (UInt8(ascii: "\""), UInt8(ascii: ","))

    /// - Returns: nil where a quote doesn't end, something follows the end of one, or a field is no UTF-8.
    static func fields(_ octets: ArraySlice<UInt8>) -> [String]? {
        var fields: [String] = []
        var rest = octets
        while true {
            var field: [UInt8] = []
            if rest.first == quote {
                rest.removeFirst()
                while true {
                    guard let end = rest.firstIndex(of: quote) else { return nil }
                    field += rest[..<end]
                    rest = rest[(end + 1)...]
                    guard rest.first == quote else { break }
                    field.append(quote)
                    rest.removeFirst()
                }
                guard rest.isEmpty || rest.first == comma else { return nil }
            } else {
                let end = rest.firstIndex(of: comma) ?? rest.endIndex
                field = Array(rest[..<end])
                rest = rest[end...]
            }
            guard let text = String(validating: field, as: UTF8.self) else { return nil }
            fields.append(text)
            guard !rest.isEmpty else { return fields }
            rest.removeFirst()
        }
    }

    static func text(_ fields: [String]) -> String {
        fields.map { field in
            field.utf8.contains { $0 == quote || $0 == comma || $0 < 0x20 }
                ? "\"" + field.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
                : field
        }.joined(separator: ",")
    }
}
