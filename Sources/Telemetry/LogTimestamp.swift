// SPDX-License-Identifier: Apache-2.0

import Octets

/// The time of a log line, `2026-11-23T03:41:07.123Z` (RFC 3339): all but the milliseconds is rendered once a second.
struct LogTimestamp: Sendable {
    /// In octets, for years of four digits.
    static var size: Int { 24 }

    private var second = Int.min
    private var text = InlineArray<20, UInt8>(repeating: 0)

    mutating func append(_ time: WallTime, to output: inout OutputRawSpan) {
        if time.seconds != second {
            second = time.seconds
            render(CivilTime(secondsSince1970: second))
        }
        output.append(text.span)
        output.appendDigits(time.microseconds / 1_000, count: 3)
        output.append(UInt8(ascii: "Z"))
    }

    private mutating func render(_ time: CivilTime) {
        set(time.date.year, at: 0, count: 4)
        text[4] = UInt8(ascii: "-")
        set(time.date.month, at: 5, count: 2)
        text[7] = UInt8(ascii: "-")
        set(time.date.dayOfMonth, at: 8, count: 2)
        text[10] = UInt8(ascii: "T")
        set(time.hour, at: 11, count: 2)
        text[13] = UInt8(ascii: ":")
        set(time.minute, at: 14, count: 2)
        text[16] = UInt8(ascii: ":")
        set(time.second, at: 17, count: 2)
        text[19] = UInt8(ascii: ".")
    }

    private mutating func set(_ value: Int, at position: Int, count: Int) {
        var rest = value
        for offset in (0..<count).reversed() {
            text[position + offset] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}
