// SPDX-License-Identifier: Apache-2.0

import Octets

/// The keys that are issued here: a prefix, and 43 characters of base64url behind it, 32 octets. 26 of them are random, 208 bits;
/// the last 6 are the check: the first octets of HMAC-SHA-256 over the octets of the prefix and the 26, under a secret of the
/// deployment (``CheckSecret``). Without a secret all 32 are random.
///
/// A right check says that whoever made the key knew the secret, and so that it is worth a look-up; whether it is a key, Redis
/// alone says. One of 2⁴⁸ keys that are made up has it by chance.
package enum KeyForm {
    /// Characters behind the prefix.
    package static let bodyLength = 43
    static let checkLength = 6
    /// Of octets, as configurations may have it (``KeyTerms/isPrefix(_:)``).
    static let longestPrefix = 32
    private static let octets = 32

    /// A new one.
    ///
    /// - Parameter secret: nil for one without a check.
    package static func random(prefix: String, under secret: CheckSecret?) -> String {
        var generator = SystemRandomNumberGenerator()
        var octets = (0..<octets).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        if let secret {
            octets.removeLast(checkLength)
            let check = secret.check(of: Array(prefix.utf8) + octets)
            octets += (1...checkLength).map { UInt8(truncatingIfNeeded: check >> UInt64(8 * (checkLength - $0))) }
        }
        return prefix + Base64URL.text(octets)
    }

    /// What a key is made of: its prefix and the random octets, and behind them what would be the check.
    ///
    /// - Returns: nil where the last 43 characters are no 32 octets, or all there is.
    static func parts(_ key: [UInt8]) -> (checked: [UInt8], check: UInt64)? {
        guard bodyLength + 1...bodyLength + longestPrefix ~= key.count else { return nil }
        let end = key.count - bodyLength
        var checked: [UInt8] = []
        checked.reserveCapacity(end + octets)
        checked.append(contentsOf: key[..<end])
        guard Base64URL.append(key[end...], to: &checked) else { return nil }
        var check: UInt64 = 0
        for octet in checked[(checked.count - checkLength)...] { check = check << 8 | UInt64(octet) }
        checked.removeLast(checkLength)
        return (checked, check)
    }

    /// Whether a key has the form of those with this prefix, whatever its check.
    static func fits(_ key: [UInt8], prefix: [UInt8]) -> Bool {
        key.count == prefix.count + bodyLength && key.starts(with: prefix)
            && key[prefix.count...].allSatisfy { Base64URL.value(of: $0) != nil }
    }
}
