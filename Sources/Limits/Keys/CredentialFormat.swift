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

    private let entries: [Entry]

    /// - Parameter prefix: of keys issued here; it stands for the list where `accept` is empty.
    package init(prefix: String, accept: [String]) {
        entries = (accept.isEmpty ? [prefix] : accept).map { text in
            Glob.isPattern(text) ? .pattern(Glob(text)) : .prefix(Array(text.utf8))
        }
    }

    /// Whether a key with one of the prefixes begins at the position, whatever follows it.
    package func begins(_ text: Span<UInt8>, at position: Int) -> Bool {
        for case .prefix(let prefix) in entries {
            let end = position + prefix.count
            if end < text.count, text[end].isVisible, text.holds(prefix, at: position) { return true }
        }
        return false
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
}
