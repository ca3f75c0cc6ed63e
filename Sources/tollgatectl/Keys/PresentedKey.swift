// SPDX-License-Identifier: Apache-2.0

import Limits

/// A key as people have it at hand: alone, or in the header line that carries it.
struct PresentedKey: Equatable {
    let key: String
    /// The header that the line names; nil where the key stands alone.
    let header: String?

    /// - Parameter headers: in which keys are looked for. Only these and the usual two are taken for a header: a key may
    ///   have a colon in it.
    init(_ line: String, headers: [String]) {
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let names = headers + KeyTerms.standard.headers
        if parts.count == 2, let name = names.first(where: { $0.lowercased() == parts[0].lowercased() }) {
            header = name
            key = Self.withoutScheme(parts[1])
        } else {
            header = nil
            key = Self.withoutScheme(line[...])
        }
    }

    /// No key has a blank in it.
    private static func withoutScheme(_ value: Substring) -> String {
        let words = value.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, words[0].lowercased() == "bearer" else { return words.joined(separator: " ") }
        return String(words[1])
    }
}
