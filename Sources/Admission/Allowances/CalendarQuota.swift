// SPDX-License-Identifier: Apache-2.0

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

/// A date of the Gregorian calendar and its number of days since 1970, by the era arithmetic of Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms": eras of 400 years, years that begin in March.
struct CivilDate: Hashable {
    let year: Int
    let month: Int
    let dayOfMonth: Int
    /// Since 1970-01-01.
    let day: Int

    private static let daysOfEra = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let epoch = 719_468

    init(day: Int) {
        let shifted = day + Self.epoch
        let era = (shifted >= 0 ? shifted : shifted - Self.daysOfEra + 1) / Self.daysOfEra
        let dayOfEra = shifted - era * Self.daysOfEra
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / (Self.daysOfEra - 1)) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        self.day = day
    }

    init(year: Int, month: Int, dayOfMonth: Int) {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + dayOfMonth - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        self.init(day: era * Self.daysOfEra + dayOfEra - Self.epoch)
    }

    var firstOfMonth: CivilDate { CivilDate(day: day - dayOfMonth + 1) }

    var firstOfNextMonth: CivilDate {
        month == 12
            ? CivilDate(year: year + 1, month: 1, dayOfMonth: 1)
            : CivilDate(year: year, month: month + 1, dayOfMonth: 1)
    }

    /// `20261123` (ISO 8601 basic format).
    var basic: String { "\(year)\(twoDigits(month))\(twoDigits(dayOfMonth))" }
}

private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
