// SPDX-License-Identifier: Apache-2.0

/// A date of the Gregorian calendar and its number of days since 1970, by the era arithmetic of Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms": eras of 400 years, years that begin in March.
package struct CivilDate: Sendable, Hashable {
    package let year: Int
    package let month: Int
    package let dayOfMonth: Int
    /// Since 1970-01-01.
    package let day: Int

    private static let daysOfEra = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let epoch = 719_468

    package init(day: Int) {
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

    package init(year: Int, month: Int, dayOfMonth: Int) {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + dayOfMonth - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        self.init(day: era * Self.daysOfEra + dayOfEra - Self.epoch)
    }

    /// 0 is Sunday; 1970 began on a Thursday.
    package var weekday: Int { ((day + 4) % 7 + 7) % 7 }

    package var firstOfMonth: CivilDate { CivilDate(day: day - dayOfMonth + 1) }

    package var firstOfNextMonth: CivilDate {
        month == 12
            ? CivilDate(year: year + 1, month: 1, dayOfMonth: 1)
            : CivilDate(year: year, month: month + 1, dayOfMonth: 1)
    }

    /// `20261123` (ISO 8601 basic format).
    package var basic: String { "\(year)\(twoDigits(month))\(twoDigits(dayOfMonth))" }

    /// `2026-11-23` (ISO 8601 extended format).
    package var text: String { String(decoding: octets, as: UTF8.self) }

    /// Of ``text``, with room for a time behind it. Lists have millions of dates: texts made of texts would take seconds.
    var octets: [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(20)
        if 0...9_999 ~= year {
            octets.append(twoDigits: year / 100)
            octets.append(twoDigits: year % 100)
        } else {
            octets += "\(year)".utf8
        }
        octets.append(UInt8(ascii: "-"))
        octets.append(twoDigits: month)
        octets.append(UInt8(ascii: "-"))
        octets.append(twoDigits: dayOfMonth)
        return octets
    }
}

extension [UInt8] {
    /// - Parameter number: 0 to 99.
    mutating func append(twoDigits number: Int) {
        append(UInt8(ascii: "0") + UInt8(number / 10))
        append(UInt8(ascii: "0") + UInt8(number % 10))
    }
}

private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
