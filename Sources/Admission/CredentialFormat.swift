// SPDX-License-Identifier: Apache-2.0

/// Which texts may be keys at all: what doesn't match is never looked up (`keys.accept`).
///
/// An entry is a prefix (`mcp_`) or, with `*` (any run of octets, none too) or `?` (any one), a pattern over the whole
/// key (`sk-*-prod`). A key is 1 to 512 visible ASCII octets whatever the entries say, and more than the bare prefix.
package struct CredentialFormat: Sendable, Hashable {
    private enum Entry: Sendable, Hashable {
        case prefix([UInt8])
        case pattern([UInt8])
    }

    /// Longer than any known key format; it bounds what a stranger can make us hash.
    package static let longestKey = 512

    private let entries: [Entry]

    /// - Parameter prefix: of keys issued here; it stands for the list where `accept` is empty.
    package init(prefix: String, accept: [String]) {
        entries = (accept.isEmpty ? [prefix] : accept).map { text in
            let octets = Array(text.utf8)
            return octets.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") })
                ? .pattern(octets) : .prefix(octets)
        }
    }

    package func accepts(_ key: some RandomAccessCollection<UInt8>) -> Bool {
        guard !key.isEmpty, key.count <= Self.longestKey, key.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return false
        }
        return entries.contains { entry in
            switch entry {
            case .prefix(let prefix): key.count > prefix.count && key.starts(with: prefix)
            case .pattern(let pattern): matches(key, pattern)
            }
        }
    }
}

/// Glob match without recursion: on a mismatch the last `*` takes one octet more, so the time is at most the product of
/// both lengths.
private func matches(_ key: some RandomAccessCollection<UInt8>, _ pattern: [UInt8]) -> Bool {
    var position = key.startIndex
    var next = 0
    var star: (pattern: Int, position: Int)?
    var offset = 0
    while position < key.endIndex {
        if next < pattern.count, pattern[next] == UInt8(ascii: "*") {
            star = (next, offset)
            next += 1
        } else if next < pattern.count, pattern[next] == UInt8(ascii: "?") || pattern[next] == key[position] {
            next += 1
            offset += 1
            position = key.index(after: position)
        } else if let last = star {
            star = (last.pattern, last.position + 1)
            next = last.pattern + 1
            offset = last.position + 1
            position = key.index(key.startIndex, offsetBy: offset)
        } else {
            return false
        }
    }
    return pattern[next...].allSatisfy { $0 == UInt8(ascii: "*") }
}
