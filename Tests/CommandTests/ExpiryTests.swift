// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Testing

@testable import tollgatectl

@Suite struct ExpiryTests {
    @Test(arguments: [
        ("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("36500d", 3_153_600_000),
    ])
    func takesATimeFromNow(text: String, seconds: Int) throws {
        #expect(try Moment.expiry(text) == .after(seconds))
    }

    @Test(arguments: [
        ("2027-01-01T00:00:00Z", 1_798_761_600), ("2027-01-01T02:00:00+02:00", 1_798_761_600),
        ("2026-12-31T21:30:00-02:30", 1_798_761_600), ("2027-01-01T00:00:00.000Z", 1_798_761_600),
        ("2027-01-01T00:00:00.001Z", 1_798_761_601), ("2028-02-29T23:59:59Z", 1_835_481_599),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ])
    func takesAMoment(text: String, seconds: Int) throws {
        #expect(try Moment.expiry(text) == .at(seconds))
    }

    @Test(arguments: [
        "", "d", "0d", "-1d", "+1d", "1w", "1 d", "1.5d", "36501d", "99999999999999999999d", "2027-01-01",
        "2027-01-01T00:00:00", "2027-01-01 00:00:00Z", "2027-01-01T00:00:00Zjunk", "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z", "2027-01-01T00:00:60Z",
        "2027-01-01T00:00:00+24:00", "2027-01-01T00:00:00+0200", "2027-1-1T0:0:0Z", "٢٠٢٧-01-01T00:00:00Z", "٩d",
    ])
    func refuses(text: String) {
        #expect(throws: ValidationError.self) { try Moment.expiry(text) }
    }

    @Test func writesRFC3339() {
        #expect(Moment.text(1_798_761_600) == "2027-01-01T00:00:00Z")
    }
}
