// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// The value of Date (IMF-fixdate, RFC 9110 §5.6.7), `Mon, 23 Nov 2026 03:41:07 GMT`. One a loop, rendered once a second.
package struct DateField: Sendable {
    /// In octets.
    private static var size: Int { 29 }

    private var second = Int.min
    private var text = ByteBuffer()

    package init() {}

    /// - Parameter second: since 1970.
    package mutating func value(at second: Int = WallTime.now().seconds) -> ByteBufferView {
        if second != self.second {
            self.second = second
            text.clear()
            text.writeStretch(atMost: Self.size) {
                $0.appendHTTPDate(CivilTime(secondsSince1970: second))
            }
        }
        return text.readableBytesView
    }
}

extension OutputRawSpan {
    fileprivate mutating func appendHTTPDate(_ time: CivilTime) {
        append(Self.weekday(time.date.weekday))
        appendDigits(time.date.dayOfMonth, count: 2)
        append(Self.month(time.date.month))
        appendDigits(time.date.year, count: 4)
        append(UInt8(ascii: " "))
        appendDigits(time.hour, count: 2)
        append(UInt8(ascii: ":"))
        appendDigits(time.minute, count: 2)
        append(UInt8(ascii: ":"))
        appendDigits(time.second, count: 2)
        append(" GMT")
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
