// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The value of Date (IMF-fixdate, RFC 9110 §5.6.7), `Mon, 23 Nov 2026 03:41:07 GMT`. One a loop, rendered once a second.
package struct DateField: Sendable {
    private var second = Int.min
    private var text = ByteBuffer()

    package init() {}

    /// - Parameter second: since 1970.
    package mutating func value(at second: Int = WallTime.now().seconds) -> ByteBufferView {
        if second != self.second {
            self.second = second
            text.clear()
            text.writeHTTPDate(CivilTime(secondsSince1970: second))
        }
        return text.readableBytesView
    }
}

extension ByteBuffer {
    fileprivate mutating func writeHTTPDate(_ time: CivilTime) {
        writeStaticString(Self.weekday(time.weekday))
        writeDigits(time.day, count: 2)
        writeStaticString(Self.month(time.month))
        writeDigits(time.year, count: 4)
        writeStaticString(" ")
        writeDigits(time.hour, count: 2)
        writeStaticString(":")
        writeDigits(time.minute, count: 2)
        writeStaticString(":")
        writeDigits(time.second, count: 2)
        writeStaticString(" GMT")
    }

    private static func weekday(_ number: Int) -> StaticString {
        switch number {
        case 0: "Sun, "
        case 1: "Mon, "
        case 2: "Tue, "
        case 3: "Wed, "
        case 4: "Thu, "
        case 5: "Fri, "
        default: "Sat, "
        }
    }

    private static func month(_ number: Int) -> StaticString {
        switch number {
        case 1: " Jan "
        case 2: " Feb "
        case 3: " Mar "
        case 4: " Apr "
        case 5: " May "
        case 6: " Jun "
        case 7: " Jul "
        case 8: " Aug "
        case 9: " Sep "
        case 10: " Oct "
        case 11: " Nov "
        default: " Dec "
        }
    }
}
