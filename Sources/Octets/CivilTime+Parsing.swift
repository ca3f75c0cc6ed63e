// SPDX-License-Identifier: Apache-2.0

extension CivilTime {
    /// The end of the year 9999, in seconds since 1970: what comes later can't be written.
    package static let latest = 253_402_300_799

    /// Seconds since 1970 of a moment as RFC 3339 §5.6 has it. A part of a second counts as a whole one.
    ///
    /// - Parameter asDatabases: as these print it too, with a space for the `T`, and an offset without colon or minutes.
    /// - Returns: nil where it is no moment, or one without an offset from UTC.
    package static func secondsSince1970(_ text: String, asDatabases: Bool = false) -> Int? {
        var octets = Array(text.utf8)[...]
        func number(_ digits: Int) -> Int? {
            guard octets.count >= digits, octets.prefix(digits).allSatisfy(\.isDigit) else { return nil }
            defer { octets.removeFirst(digits) }
            return octets.prefix(digits).reduce(0) { $0 * 10 + Int($1 & 0xF) }
        }
        func take(_ choice: String) -> UInt8? {
            guard let first = octets.first, choice.utf8.contains(first) else { return nil }
            octets.removeFirst()
            return first
        }
        guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil,
            let day = number(2), take(asDatabases ? "T " : "T") != nil, let hour = number(2), take(":") != nil,
            let minute = number(2), take(":") != nil, let second = number(2), hour < 24, minute < 60, second < 60
        else { return nil }
        let date = CivilDate(year: year, month: month, dayOfMonth: day)
        // The thirtieth of February would be another day.
        guard date == CivilDate(day: date.day), date.month == month, date.dayOfMonth == day else { return nil }
        var hasFraction = false
        if take(".") != nil {
            let digits = octets.prefix(while: \.isDigit)
            guard !digits.isEmpty else { return nil }
            hasFraction = digits.contains { $0 != UInt8(ascii: "0") }
            octets.removeFirst(digits.count)
        }
        guard let sign = take("Z+-") else { return nil }
        var offset = 0
        if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            guard let hours = number(2), hours < 24 else { return nil }
            guard take(":") != nil || asDatabases else { return nil }
            guard let minutes = octets.isEmpty && asDatabases ? 0 : number(2), minutes < 60 else { return nil }
            offset = (hours * 60 + minutes) * (sign == UInt8(ascii: "-") ? -60 : 60)
        }
        guard octets.isEmpty else { return nil }
        return date.day * 86_400 + hour * 3_600 + minute * 60 + second - offset + (hasFraction ? 1 : 0)
    }

    /// `2026-11-23T08:00:00Z`
    package var text: String {
        var octets = date.octets
        octets.append(UInt8(ascii: "T"))
        octets.append(twoDigits: hour)
        octets.append(UInt8(ascii: ":"))
        octets.append(twoDigits: minute)
        octets.append(UInt8(ascii: ":"))
        octets.append(twoDigits: second)
        octets.append(UInt8(ascii: "Z"))
        return String(decoding: octets, as: UTF8.self)
    }
}
