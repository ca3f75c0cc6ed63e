// SPDX-License-Identifier: Apache-2.0

import Octets
import Testing

@Suite struct UTCDayTests {
    @Test(arguments: [
        ("1970-01-01", 0), ("2026-11-23", 20_780), ("2028-02-29", 21_243), ("2100-03-01", 47_541),
        ("9999-12-31", 2_932_896),
    ])
    func reads(text: String, number: Int) throws {
        let day = try #require(UTCDay(text))
        #expect(day.number == number)
        #expect(day.description == text)
    }

    @Test(arguments: [
        "", "2026-11-31", "2100-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "1969-12-31", "2026-11-23T00:00:00Z",
        " 2026-11-23", "٢٠٢٦-11-23",
    ])
    func refuses(text: String) {
        #expect(UTCDay(text) == nil)
    }
}
