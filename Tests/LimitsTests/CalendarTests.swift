// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
@testable import Limits

/// Windows of the calendar in UTC.
@Suite struct CalendarTests {
    private static func instant(_ text: String) throws -> Int {
        Int(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1_000_000
    }

    /// The first instant of a window, its name and the first of the next one; a microsecond before that it is still the same.
    @Test(
        arguments: [
            (.hour, "2026-11-23T16:00:00Z", "2026112316", "2026-11-23T17:00:00Z"),
            (.hour, "2026-12-31T23:00:00Z", "2026123123", "2027-01-01T00:00:00Z"),
            (.day, "2026-11-23T00:00:00Z", "20261123", "2026-11-24T00:00:00Z"),
            (.day, "2028-02-28T00:00:00Z", "20280228", "2028-02-29T00:00:00Z"),
            (.day, "2028-02-29T00:00:00Z", "20280229", "2028-03-01T00:00:00Z"),
            (.day, "2100-02-28T00:00:00Z", "21000228", "2100-03-01T00:00:00Z"),
            (.week, "2026-11-23T00:00:00Z", "20261123w", "2026-11-30T00:00:00Z"),
            (.week, "2026-12-28T00:00:00Z", "20261228w", "2027-01-04T00:00:00Z"),
            (.month, "2026-11-01T00:00:00Z", "202611", "2026-12-01T00:00:00Z"),
            (.month, "2026-12-01T00:00:00Z", "202612", "2027-01-01T00:00:00Z"),
            (.month, "2027-02-01T00:00:00Z", "202702", "2027-03-01T00:00:00Z"),
            (.month, "2028-02-01T00:00:00Z", "202802", "2028-03-01T00:00:00Z"),
            (.month, "2100-02-01T00:00:00Z", "210002", "2100-03-01T00:00:00Z"),
            (.month, "2027-04-01T00:00:00Z", "202704", "2027-05-01T00:00:00Z"),
        ] as [(CalendarPeriod, String, String, String)])
    func beginsAndEndsToTheMicrosecond(period: CalendarPeriod, first: String, name: String, next: String) throws {
        let window = CalendarWindow(name: name, start: try Self.instant(first), end: try Self.instant(next))
        for instant in [window.start, window.start + 1, (window.start + window.end) / 2, window.end - 1] {
            #expect(period.window(at: instant) == window)
        }
        #expect(period.window(at: window.start - 1).end == window.start)
        #expect(period.window(at: window.end).start == window.end)
    }

    /// Against Foundation's calendar, at instants of 1970 to 2200.
    @Test func agreesWithFoundation() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        calendar.firstWeekday = 2
        calendar.minimumDaysInFirstWeek = 4
        let components: [CalendarPeriod: Calendar.Component] = [
            .hour: .hour, .day: .day, .week: .weekOfYear, .month: .month,
        ]
        var dice = Dice(seed: 11)
        for _ in 0..<2_000 {
            let second = Int.random(in: 604_800..<7_258_118_400, using: &dice)
            for (period, component) in components {
                let window = period.window(at: second * 1_000_000 + Int.random(in: 0..<1_000_000, using: &dice))
                let date = Date(timeIntervalSince1970: TimeInterval(second))
                let expected = try #require(calendar.dateInterval(of: component, for: date))
                #expect(window.start == Int(expected.start.timeIntervalSince1970) * 1_000_000)
                #expect(window.end == Int(expected.end.timeIntervalSince1970) * 1_000_000)
            }
        }
    }

    @Test func namesAreOfOneWindowEach() {
        var names: [String: CalendarWindow] = [:]
        for day in 0..<4_000 {
            for period in CalendarPeriod.allCases {
                let window = period.window(at: 1_600_000_000_000_000 + day * 43_200_000_000)
                #expect(names.updateValue(window, forKey: window.name) ?? window == window)
            }
        }
    }
}
