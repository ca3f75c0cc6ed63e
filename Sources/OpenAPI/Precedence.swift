// SPDX-License-Identifier: Apache-2.0

import Settings

/// Which of two routes takes a path that both have: the one that is more literal at the first segment where they differ.
///
/// A listed entry may ask for scopes, or for nothing. So nothing that a document tells may take a request from it.
struct Precedence {
    private let listed: [[Substring]]

    init(_ listed: [Settings.Route]) {
        self.listed = listed.flatMap { route in
            let entry = Self.segments(route.path)
            // An `mcp` route has all that is below it.
            return route.isMCP ? [entry, (entry == [""] ? [] : entry) + ["{rest*}"]] : [entry]
        }
    }

    /// Whether a route would take requests that are a listed one's.
    func takes(_ found: String) -> Bool {
        let own = Self.segments(found)
        return listed.contains { Self.takes(own, from: $0) }
    }

    private static func segments(_ path: String) -> [Substring] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    }

    private static func takes(_ found: [Substring], from listed: [Substring]) -> Bool {
        var isFirst: Bool?
        for index in 0..<min(found.count, listed.count) {
            let (own, other) = (found[index], listed[index])
            // From here on either has everything that the other has.
            if other.isRest { return isFirst ?? true }
            if own.isRest { return isFirst ?? false }
            switch (own.isParameter, other.isParameter) {
            case (true, true): break
            case (true, false): isFirst = isFirst ?? false
            case (false, true): isFirst = isFirst ?? true
            case (false, false): if own != other { return false }
            }
        }
        return found.count == listed.count && isFirst ?? true
    }
}

extension Substring {
    fileprivate var isParameter: Bool { hasPrefix("{") }
    fileprivate var isRest: Bool { hasSuffix("*}") }
}
