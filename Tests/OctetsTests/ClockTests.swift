// SPDX-License-Identifier: Apache-2.0

import Octets
import Testing

@Suite struct ClockTests {
    /// Every day of 400 years, against counting.
    @Test func countsTheDays() {
        var (year, month, day) = (1900, 1, 1)
        let first = -25_567
        for days in first..<(first + 146_097) {
            let date = CivilTime(secondsSince1970: days * 86_400 + 86_399).date
            guard date.year == year, date.month == month, date.dayOfMonth == day else {
                Issue.record("\(days) days are \(date), not \(year)-\(month)-\(day)")
                return
            }
            #expect(date.day == days && CivilDate(year: year, month: month, dayOfMonth: day).day == days)
            #expect(date.weekday == ((days - first + 1) % 7))
            day += 1
            if day > Self.length(of: month, in: year) { (month, day) = (month + 1, 1) }
            if month > 12 { (year, month) = (year + 1, 1) }
        }
        #expect(year == 2300)
    }

    private static func length(of month: Int, in year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    @Test func readsTheClock() {
        let before = WallTime.now()
        let after = WallTime.now()
        #expect(before.seconds > 1_750_000_000)
        #expect(0..<1_000_000 ~= before.microseconds)
        #expect(before.microsecondsSince1970 == before.seconds * 1_000_000 + before.microseconds)
        #expect((before.seconds, before.microseconds) <= (after.seconds, after.microseconds))
    }
}
