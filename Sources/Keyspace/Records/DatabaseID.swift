// SPDX-License-Identifier: Apache-2.0

/// What tells a database from any other: it lies in `<namespace>:1:{:m}:meta`.
package enum DatabaseID {
    /// Whether a text may be one: 32 of `0–9 a–f`.
    package static func isWellFormed(_ text: String) -> Bool {
        text.utf8.count == 32
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (97...102).contains($0) }
    }

    /// 128 random bits in hexadecimal, for a database that has none.
    package static func proposal() -> String {
        .random(hexadecimalWords: 2)
    }
}
