// SPDX-License-Identifier: Apache-2.0

/// A second in UTC, taken apart as people read it. No Foundation: it would be linked for nothing else, and every request
/// has its time written.
struct CivilTime: Sendable, Equatable {
    let year: Int
    /// 1…12
    let month: Int
    /// 1…31
    let day: Int
    let hour: Int
    let minute: Int
    let second: Int
    /// 0 is Sunday.
    let weekday: Int

    /// `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March there, so
    /// that the leap day is the last one, and eras of 400 years have 146 097 days.
    init(secondsSince1970 seconds: Int) {
        let days = Self.floor(seconds, dividedBy: 86_400)
        let ofDay = seconds - days * 86_400
        let fromMarchOfYear0 = days + 719_468
        let era = Self.floor(fromMarchOfYear0, dividedBy: 146_097)
        let ofEra = fromMarchOfYear0 - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * ofYear + 2) / 153
        day = ofYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = ofDay / 3_600
        minute = ofDay / 60 % 60
        second = ofDay % 60
        let sinceSunday = days + 4
        weekday = sinceSunday - Self.floor(sinceSunday, dividedBy: 7) * 7
    }

    private static func floor(_ value: Int, dividedBy divisor: Int) -> Int {
        value >= 0 ? value / divisor : (value - divisor + 1) / divisor
    }
}
