// SPDX-License-Identifier: Apache-2.0

/// What a key may be used for (RFC 6749 §3.3): `listings:read db:write` in its record.
package struct KeyScopes: Sendable, Hashable {
    package var tokens: Set<String>

    package init(_ tokens: Set<String> = []) {
        self.tokens = tokens
    }

    /// - Returns: nil where a word is no token.
    package init?(parsing text: String) {
        self.init()
        guard !text.isEmpty else { return }
        for token in text.split(separator: " ", omittingEmptySubsequences: false) {
            guard Self.isToken(token) else { return nil }
            tokens.insert(String(token))
        }
    }

    /// 1 to 128 visible ASCII octets but `"` and `\`.
    package static func isToken(_ text: some StringProtocol) -> Bool {
        1...128 ~= text.utf8.count
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    /// As the record holds them.
    package var text: String { tokens.sorted().joined(separator: " ") }

    /// Those of the wanted ones that are missing, each once, in their order.
    package func missing(of wanted: [String]) -> [String] {
        var seen: Set<String> = []
        return wanted.filter { !tokens.contains($0) && seen.insert($0).inserted }
    }
}
