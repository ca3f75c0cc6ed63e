// SPDX-License-Identifier: Apache-2.0

/// What an organization's record is read with and confirmed by: another one after each change.
package enum Revision {
    /// 64 random bits in hexadecimal, because a counter would repeat after a failover that lost the last change, and let a
    /// revoked key in.
    package static func random() -> String {
        .random(hexadecimalWords: 1)
    }
}

extension String {
    /// - Parameter hexadecimalWords: of 64 bits each.
    static func random(hexadecimalWords count: Int) -> String {
        (0..<count).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
