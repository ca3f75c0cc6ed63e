// SPDX-License-Identifier: Apache-2.0

import Octets

/// So many tokens in each window of the calendar, in UTC: what is left at its end is gone.
///
/// Text form: `<count>/(hour|day|week|month)`, for example `5000/month`.
package struct CalendarQuota: Sendable, Hashable {
    /// Tokens; 0 lets nothing through.
    package var count: Int
    package var period: CalendarPeriod

    package init(count: Int, per period: CalendarPeriod) {
        self.count = count
        self.period = period
    }
}

extension CalendarQuota: CustomStringConvertible {
    package var description: String { "\(count)/\(period.rawValue)" }

    /// Twice that and a cost can still be counted exactly.
    package static let largestCount = Limit.largestNumber / 4

    package init(parsing text: String) throws(LimitError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let period = CalendarPeriod(rawValue: parts[1]), let count = Int(parts[0]), count >= 0,
            String(count) == parts[0]
        else { throw .malformedAllowance(text) }
        guard count <= Self.largestCount else { throw .tooLarge(text) }
        self.init(count: count, per: period)
    }
}

/// A division of time that people know from the calendar.
package enum CalendarPeriod: String, Sendable, Hashable, CaseIterable {
    case hour, day
    /// From Monday (ISO 8601).
    case week
    case month

    /// The window that an instant lies in.
    ///
    /// - Parameter microseconds: since 1970, not negative.
    package func window(at microseconds: Int) -> CalendarWindow {
        let day = microseconds / Self.microsecondsPerDay
        switch self {
        case .hour:
            let hour = microseconds / Self.microsecondsPerHour
            let name = CivilDate(day: day).basic + twoDigits(hour % 24)
            return CalendarWindow(
                name: name, start: hour * Self.microsecondsPerHour, end: (hour + 1) * Self.microsecondsPerHour)
        case .day:
            return window(named: CivilDate(day: day).basic, from: day, to: day + 1)
        case .week:
            // 1970 began on a Thursday.
            let monday = day - (day + 3) % 7
            return window(named: CivilDate(day: monday).basic + "w", from: max(0, monday), to: monday + 7)
        case .month:
            let date = CivilDate(day: day)
            let (first, next) = (date.firstOfMonth, date.firstOfNextMonth)
            return window(named: String(first.basic.dropLast(2)), from: first.day, to: next.day)
        }
    }

    private func window(named name: String, from first: Int, to next: Int) -> CalendarWindow {
        CalendarWindow(
            name: name, start: first * Self.microsecondsPerDay, end: next * Self.microsecondsPerDay)
    }

    private static let microsecondsPerHour = 3_600_000_000
    private static let microsecondsPerDay = 24 * microsecondsPerHour
}

/// One hour, day, week or month.
package struct CalendarWindow: Sendable, Hashable {
    /// In the name of its counter: `2026112316`, `20261123`, `20261123w` (by its Monday), `202611`.
    package var name: String
    /// Microseconds since 1970.
    package var start: Int
    /// Of the next one.
    package var end: Int

    package func contains(_ microseconds: Int) -> Bool { start <= microseconds && microseconds < end }
}

private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
