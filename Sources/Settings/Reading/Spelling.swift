// SPDX-License-Identifier: Apache-2.0

/// Guesses what a misspelt word was meant to be, for hints.
package enum Spelling {
    /// The candidate nearest to `word`, if it is near enough to be what was meant; the first of several equally near.
    package static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let wanted = folded(word)
        // A third of the letters may be wrong: more, and the guess misleads.
        var nearest = (distance: max(1, wanted.count / 3) + 1, candidate: String?.none)
        // Longer words are no names of ours, and the distance takes quadratic time.
        guard wanted.count <= 64 else { return nil }
        for candidate in candidates where candidate != word {
            let name = folded(candidate)
            guard !negates(wanted, name) else { continue }
            let distance = distance(wanted, name)
            if distance < nearest.distance { nearest = (distance, candidate) }
        }
        return nearest.candidate
    }

    /// What `word` is another word for, then the candidate nearest to it.
    ///
    /// - Parameter synonyms: in lower case and with `_`.
    static func guesses(_ word: String, among candidates: [String], _ synonyms: [String: String]) -> [String] {
        let name = word.lowercased().replacing("-", with: "_").replacing(" ", with: "_")
        return [synonyms[name], nearest(to: word, among: candidates)].compactMap(\.self)
    }

    /// `X Real IP` as one word, `X-Real-IP`; what stands around it, such as a final colon, is left out.
    static func joined(_ words: String) -> [String] {
        [words.split { !($0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0))) }.joined(separator: "-")]
    }

    /// Whether the word is the name's opposite rather than a slip of it: the true of `no_throttle` isn't that of `throttle`.
    private static func negates(_ word: [UInt8], _ name: [UInt8]) -> Bool {
        let isBegun = negatingBeginnings.contains { word.starts(with: $0) && !name.starts(with: $0) }
        return isBegun || negatingEnds.contains { word.suffix($0.count) == $0 && name.suffix($0.count) != $0 }
    }

    private static let negatingBeginnings =
        ["block", "deny", "dis", "forbid", "no", "refuse", "reject", "skip", "un"].map { Array($0.utf8) }

    private static let negatingEnds =
        ["blocked", "denied", "disabled", "ignored", "off", "refused"].map { ArraySlice($0.utf8) }

    /// `connectTimeout`, `connect-timeout` and `connect_timeout` are the same word.
    private static func folded(_ word: String) -> [UInt8] {
        word.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
    }

    /// Edits that make one the other: a letter added, dropped, replaced, or two neighbours swapped.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var previous: [Int] = []
        var current = Array(0...other.count)
        for row in one.indices {
            var next = [row + 1]
            for column in other.indices {
                var best = min(current[column + 1], next[column]) + 1
                best = min(best, current[column] + (one[row] == other[column] ? 0 : 1))
                if row > 0, column > 0, one[row] == other[column - 1], one[row - 1] == other[column] {
                    best = min(best, previous[column - 1] + 1)
                }
                next.append(best)
            }
            (previous, current) = (current, next)
        }
        return current[other.count]
    }
}
