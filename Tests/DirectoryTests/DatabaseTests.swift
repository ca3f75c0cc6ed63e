// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis
import TestSupport
import Testing

@testable import Directory

@Suite struct DatabaseTests {
    @Test(arguments: [
        ("5f2b8c0e9d4a4b7f8e6d1c2b3a495867", true), ("5F2B8C0E9D4A4B7F8E6D1C2B3A495867", false), ("", false),
        ("5f2b8c0e9d4a4b7f8e6d1c2b3a49586", false), ("5f2b8c0e9d4a4b7f8e6d1c2b3a495867a", false),
        ("5f2b8c0e9d4a4b7f8e6d1c2b3a49586g", false), ("5f2b8c0e9d4a4b7f8e6d1c2b3a49586:", false),
    ]) func anIDIsToldFromAnyOtherText(text: String, isID: Bool) {
        #expect(DatabaseID.isWellFormed(text) == isID)
        #expect(DatabaseID.isWellFormed(DatabaseID.proposal()))
    }
}
