// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Telemetry

@Suite struct DateFieldTests {
    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
        (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"), (1_795_405_267, "Mon, 23 Nov 2026 03:41:07 GMT"),
        (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ])
    func writesFixedDates(_ second: Int, _ text: String) {
        var field = DateField()
        #expect(String(buffer: ByteBuffer(field.value(at: second))) == text)
    }

    @Test func followsTheClock() {
        var field = DateField()
        let first = ByteBuffer(field.value(at: 59))
        #expect(ByteBuffer(field.value(at: 59)) == first)
        #expect(String(buffer: ByteBuffer(field.value(at: 60))) == "Thu, 01 Jan 1970 00:01:00 GMT")
        // A view handed out earlier keeps what it showed.
        #expect(String(buffer: first) == "Thu, 01 Jan 1970 00:00:59 GMT")
    }
}
