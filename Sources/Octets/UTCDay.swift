// SPDX-License-Identifier: Apache-2.0

/// A day by UTC, as `2026-11-23`.
package struct UTCDay: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Since 1970-01-01.
    package let number: Int

    package init(number: Int) {
        self.number = number
    }

    /// - Parameter text: `2026-11-23`, of 1970 to 9999.
    package init?(_ text: String) {
        guard let match = text.wholeMatch(of: /([0-9]{4})-([0-9]{2})-([0-9]{2})/), let year = Int(match.1),
            let month = Int(match.2), let dayOfMonth = Int(match.3), year >= 1970, 1...12 ~= month
        else { return nil }
        number = CivilDate(year: year, month: month, dayOfMonth: dayOfMonth).day
        // 30 February isn't 2 March.
        guard description == text else { return nil }
    }

    package var description: String { CivilDate(day: number).text }

    package static func < (one: Self, other: Self) -> Bool { one.number < other.number }

    package func adding(_ days: Int) -> UTCDay { UTCDay(number: number + days) }
}
