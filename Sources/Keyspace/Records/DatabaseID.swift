// SPDX-License-Identifier: Apache-2.0

/// What tells a database from any other: it lies in `<namespace>:1:meta`.
package enum DatabaseID {
    /// 128 random bits in hexadecimal, for a database that has none.
    package static func proposal() -> String {
        let halves = [UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)]
        return halves.map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
