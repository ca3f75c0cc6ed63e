// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The time of a log line, `2026-11-23T03:41:07.123Z` (RFC 3339): all but the milliseconds is rendered once a second.
struct Timestamp: Sendable {
    private var second = Int.min
    private var text = ByteBuffer()

    mutating func write(_ time: WallTime, into buffer: inout ByteBuffer) {
        if time.seconds != second {
            second = time.seconds
            render(CivilTime(secondsSince1970: second))
        }
        buffer.writeBytes(text.readableBytesSpan)
        buffer.writeDigits(time.milliseconds, count: 3)
        buffer.writeStaticString("Z")
    }

    private mutating func render(_ time: CivilTime) {
        text.clear()
        text.writeDigits(time.year, count: 4)
        text.writeStaticString("-")
        text.writeDigits(time.month, count: 2)
        text.writeStaticString("-")
        text.writeDigits(time.day, count: 2)
        text.writeStaticString("T")
        text.writeDigits(time.hour, count: 2)
        text.writeStaticString(":")
        text.writeDigits(time.minute, count: 2)
        text.writeStaticString(":")
        text.writeDigits(time.second, count: 2)
        text.writeStaticString(".")
    }
}
