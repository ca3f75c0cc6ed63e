// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Octets

/// Which names an `mcp` route answers to, and which pages may ask it. A handler that is sent its own Host can't tell a
/// rebound name (DNS rebinding) from a good one, so it is told here (MCP 2025-11-25, "Security Warning": 403).
struct BrowserGuard: Sendable {
    private struct Entry: Sendable {
        /// Lower case.
        var text: [UInt8]
        /// A colon and a number may follow.
        var isForAnyPort: Bool

        func matches(_ range: Range<Int>, of head: RequestHead) -> Bool {
            guard isForAnyPort else { return head.section.range(range, equalsLowercased: text) }
            guard range.count >= text.count, head.section.range(range, startsWithLowercased: text) else { return false }
            let rest = head.view(of: (range.lowerBound + text.count)..<range.upperBound)
            return rest.isEmpty
                || rest.first == UInt8(ascii: ":")
                    && rest.dropFirst().allSatisfy(\.isDigit)
        }
    }

    private let hosts: [Entry]
    private let origins: [Entry]

    /// Whether an Origin that passes was one that may ask. The handler, which doesn't know the list, need not judge it again.
    var knowsOrigins: Bool { !origins.isEmpty }

    /// - Parameters:
    ///   - hosts: values of Host; one without a port, or with `:*`, is good for every port. None: any.
    ///   - origins: `scheme://host[:port]`; with `:*` good for every port. None: any.
    init(hosts: [String], origins: [String]) {
        self.hosts = hosts.map { host in
            let stem = Self.withoutAnyPort(host)
            return Entry(text: Array(stem.lowercased().utf8), isForAnyPort: stem != host || !Self.hasPort(host))
        }
        self.origins = origins.map { origin in
            let stem = Self.withoutAnyPort(origin)
            return Entry(text: Array(stem.lowercased().utf8), isForAnyPort: stem != origin)
        }
    }

    /// Why this request is none of ours; nil where it may pass. One without Origin comes from no page.
    func refusal(of head: RequestHead) -> Refusal? {
        if !hosts.isEmpty {
            guard let host = head.host, hosts.contains(where: { $0.matches(host, of: head) }) else {
                return Refusal(403, "Host not allowed", reason: .hostNotAllowed)
            }
        }
        guard !origins.isEmpty else { return nil }
        for field in head.fields where field.id == .origin {
            guard origins.contains(where: { $0.matches(field.valueRange, of: head) }) else {
                return Refusal(403, "Origin not allowed", reason: .originNotAllowed)
            }
        }
        return nil
    }

    private static func withoutAnyPort(_ text: String) -> String {
        text.hasSuffix(":*") ? String(text.dropLast(2)) : text
    }

    /// The colons of an IPv6 address stand within brackets.
    private static func hasPort(_ host: String) -> Bool {
        guard let colon = host.lastIndex(of: ":") else { return false }
        return !host[colon...].contains("]")
    }
}
