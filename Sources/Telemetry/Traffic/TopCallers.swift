// SPDX-License-Identifier: Apache-2.0

/// Who calls most and who is denied most, of all loops: keys and organizations, twenty of each at most.
package struct TopCallers: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        /// Nil for an organization.
        package var key: String?
        package var organization: String
        package var count: Int
        /// By which the count may be too high.
        package var error: Int
    }

    private static let most = 20

    /// In seconds since 1970.
    package let since: Int
    package let callers: [Entry]
    package let organizations: [Entry]
    package let denied: [Entry]
    package let deniedOrganizations: [Entry]

    /// - Parameters:
    ///   - start: when the process began.
    init(_ loops: some Collection<CallerCounts.Standing>, from start: Int) {
        let newest = loops.map(\.since).max() ?? start
        let spans = loops.flatMap { $0.since == newest ? [$0.present, $0.former] : [$0.present] }
        since = max(newest, start)
        callers = Self.top(spans.map(\.callers))
        organizations = Self.top(spans.map(\.organizations))
        denied = Self.top(spans.map(\.denied))
        deniedOrganizations = Self.top(spans.map(\.deniedOrganizations))
    }

    private static func top(_ parts: [HeavyHitters<CallerCounts.Caller>.Standing]) -> [Entry] {
        var ranking = Ranking<CallerCounts.Caller>()
        for part in parts { ranking.add(part) }
        return ranking.top(most, by: \.key).map {
            Entry(key: $0.key.key, organization: $0.key.organization, count: $0.count, error: $0.error)
        }
    }

    private static func top(_ parts: [HeavyHitters<String>.Standing]) -> [Entry] {
        var ranking = Ranking<String>()
        for part in parts { ranking.add(part) }
        return ranking.top(most, by: \.self).map {
            Entry(key: nil, organization: $0.key, count: $0.count, error: $0.error)
        }
    }
}
