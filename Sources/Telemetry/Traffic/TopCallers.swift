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
    ///   - second: what is told is of the span that it is in and of the one before, however long ago a loop told.
    init(_ loops: some Collection<CallerCounts.Standing>, from start: Int, at second: Int) {
        let newest = max(CallerCounts.since(at: second), loops.map(\.since).max() ?? start)
        let spans = loops.flatMap { loop in
            switch newest - loop.since {
            case 0: [loop.present, loop.former]
            case CallerCounts.span: [loop.present]
            default: [CallerCounts.Standing.Span]()
            }
        }
        since = max(newest, start)
        callers = Self.top(spans.map(\.callers))
        organizations = Self.top(spans.map(\.organizations))
        denied = Self.top(spans.map(\.denied))
        deniedOrganizations = Self.top(spans.map(\.deniedOrganizations))
    }

    private static func top(_ parts: [HeavyHitters<CallerCounts.Caller>.Standing]) -> [Entry] {
        Ranking(parts).top(most, by: \.key).map {
            Entry(key: $0.key.key, organization: $0.key.organization, count: $0.count, error: $0.error)
        }
    }

    private static func top(_ parts: [HeavyHitters<String>.Standing]) -> [Entry] {
        Ranking(parts).top(most, by: \.self).map {
            Entry(key: nil, organization: $0.key, count: $0.count, error: $0.error)
        }
    }
}
