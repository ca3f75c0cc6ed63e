// SPDX-License-Identifier: Apache-2.0

import Octets

/// A pattern over a whole text: `*` is any run of octets, none too, `?` any one, everything else itself.
package struct Glob: Sendable, Hashable {
    package let text: String
    private let octets: [UInt8]

    package init(_ text: String) {
        self.text = text
        octets = Array(text.utf8)
    }

    package static func isPattern(_ text: String) -> Bool {
        text.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }
    }

    /// What every text begins with that matches it.
    static func beginning(of pattern: String) -> [UInt8] {
        Array(pattern.utf8.prefix { $0 != UInt8(ascii: "*") && $0 != UInt8(ascii: "?") })
    }

    package func matches(_ text: String) -> Bool { text.withOctets { matches($0) } }

    package func matches(_ octets: [UInt8]) -> Bool { matches(octets.span) }

    /// Without recursion: on a mismatch the last `*` takes one octet more, so the time is at most the product of both
    /// lengths.
    package func matches(_ candidate: Span<UInt8>) -> Bool {
        var position = 0
        var next = 0
        var star: (next: Int, position: Int)?
        while position < candidate.count {
            if next < octets.count, octets[next] == UInt8(ascii: "*") {
                next += 1
                star = (next, position)
            } else if next < octets.count, octets[next] == UInt8(ascii: "?") || octets[next] == candidate[position] {
                next += 1
                position += 1
            } else if let last = star {
                next = last.next
                position = last.position + 1
                star = (next, position)
            } else {
                return false
            }
        }
        return octets[next...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
