// SPDX-License-Identifier: Apache-2.0

import Octets

/// Which texts may be keys at all: what doesn't match is never looked up (`keys.accept`).
///
/// An entry is a prefix (`mcp_`) or, with `*` (any run of octets, none too) or `?` (any one), a pattern over the whole
/// key (`sk-*-prod`). A key is 1 to 512 visible ASCII octets whatever the entries say, and more than the bare prefix.
package struct CredentialFormat: Sendable, Hashable {
    private enum Entry: Sendable, Hashable {
        case prefix([UInt8])
        case pattern(Glob)
    }

    /// Longer than any known key format; it bounds what a stranger can make us hash.
    static let longestKey = 512
    /// Fewer octets behind a prefix are taken for an ordinary name: keys that can't be guessed have more.
    static let shortestSecret = 16

    private let entries: [Entry]
    /// What entries begin with, where that is more than an octet.
    private let beginnings: [[UInt8]]

    /// - Parameter prefix: of keys issued here; it stands for the list where `accept` is empty.
    package init(prefix: String, accept: [String]) {
        entries = (accept.isEmpty ? [prefix] : accept).map { text in
            Glob.isPattern(text) ? .pattern(Glob(text)) : .prefix(Array(text.utf8))
        }
        beginnings = (accept.isEmpty ? [prefix] : accept).map { Glob.beginning(of: $0) }.filter { $0.count > 1 }
    }

    /// Whether a key with one of the prefixes begins at the position, whatever follows it.
    package func begins(_ text: Span<UInt8>, at position: Int) -> Bool {
        for case .prefix(let prefix) in entries {
            let end = position + prefix.count
            if end < text.count, text[end].isVisible, text.holds(prefix, at: position) { return true }
        }
        return false
    }

    /// Where in a path, or in another text, the next secret of a key seems to stand: what no log may have. It begins behind
    /// the key's prefix and ends where its segment does. Nil where there is none.
    ///
    /// That is an entry's prefix, or what a pattern has before its first `*` or `?`, not behind a letter or digit unless
    /// it ends an escape, and 16 or more of the octets that keys are made of (RFC 3986 §2.3, unreserved). An entry that
    /// begins with less than two octets of its own tells keys from nothing.
    package func secret(in text: Span<UInt8>, from start: Int = 0) -> Range<Int>? {
        var found: Range<Int>?
        for beginning in beginnings {
            let end = min(text.count - beginning.count - Self.shortestSecret + 1, found?.lowerBound ?? text.count)
            var position = start
            while position < end {
                position = text.first(beginning[0], from: position, upTo: end)
                guard position < end else { break }
                if text.holds(beginning, at: position), !text.isInsideWord(position) {
                    let secret = position + beginning.count
                    if text.hasRun(of: Self.shortestSecret, at: secret) {
                        found = secret..<text.first(UInt8(ascii: "/"), from: secret, upTo: text.count)
                        break
                    }
                }
                position += 1
            }
        }
        return found
    }

    package func accepts(_ key: [UInt8]) -> Bool { accepts(key.span) }

    package func accepts(_ key: Span<UInt8>) -> Bool {
        guard !key.isEmpty, key.count <= Self.longestKey else { return false }
        guard key.isVisible else { return false }
        return entries.contains { entry in
            switch entry {
            case .prefix(let prefix): key.count > prefix.count && key.holds(prefix, at: 0)
            case .pattern(let pattern): pattern.matches(key)
            }
        }
    }
}

extension Span<UInt8> {
    /// The octets must end within the span.
    fileprivate func holds(_ octets: [UInt8], at position: Int) -> Bool {
        for offset in octets.indices where self[position + offset] != octets[offset] { return false }
        return true
    }

    /// Behind a letter or digit that isn't the end of an escape.
    fileprivate func isInsideWord(_ position: Int) -> Bool {
        guard position > 0, self[position - 1].isAlphanumeric else { return false }
        return position < 3 || self[position - 3] != UInt8(ascii: "%")
    }

    /// Of unreserved octets, which must end within the span.
    fileprivate func hasRun(of length: Int, at position: Int) -> Bool {
        for offset in 0..<length where !self[position + offset].isUnreserved { return false }
        return true
    }
}
