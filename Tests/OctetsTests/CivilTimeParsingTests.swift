// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Octets

@Suite struct CivilTimeParsingTests {
    @Test(arguments: [
        ("2027-01-01 00:00:00+00", 1_798_761_600), ("2027-01-01 02:00:00.5+0200", 1_798_761_601),
        ("2026-12-31T21:30:00-02:30", 1_798_761_600), ("1970-01-01T00:00:00Z", 0), ("1969-12-31 23:59:59Z", -1),
    ])
    func momentsAsDatabasesPrintThem(text: String, seconds: Int) {
        #expect(CivilTime.secondsSince1970(text, asDatabases: true) == seconds)
    }

    @Test(arguments: [
        "2027-01-01 00:00:00", "2027-02-29T00:00:00Z", "2027-00-01T00:00:00Z", "2027-01-00T00:00:00Z",
        "2027-01-01T00:00:00.Z", "2027-01-01T00:00:00+2", "2027-01-01T00:00:00+02:0", "2027-01-01T00:00:00Z ", "",
    ])
    func whatIsNoMomentIsNone(text: String) {
        #expect(CivilTime.secondsSince1970(text, asDatabases: true) == nil)
    }

    @Test func aMomentIsWrittenAsItIsRead() {
        for seconds in stride(from: 0, to: 253_402_300_799, by: 7_777_777_777) {
            #expect(CivilTime.secondsSince1970(CivilTime(secondsSince1970: seconds).text) == seconds)
        }
    }
}
