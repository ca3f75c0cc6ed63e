// SPDX-License-Identifier: Apache-2.0

import Digests

/// SHA-256 of a whole key: all that is kept of it, here and in Redis.
package struct CredentialHash: Sendable, Equatable {
    private let digest: SHA256Digest

    package init(of key: [UInt8]) {
        digest = SHA256Digest(of: key)
    }

    /// The first 64 bits: they spread as well as all 256.
    var leadingBits: UInt64 { digest.words.0 }

    /// 64 lowercase hexadecimal digits, as in the names and records of Redis.
    package var hexadecimal: [UInt8] { digest.hexadecimal }
    package var text: String { String(decoding: hexadecimal, as: UTF8.self) }

    /// Whether a text is one, as names and records have it.
    package static func isText(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
    }
}

extension CredentialHash: Hashable {
    package func hash(into hasher: inout Hasher) {
        // 64 bits of a cryptographic hash spread as well as all 256.
        hasher.combine(digest.words.0)
    }
}
