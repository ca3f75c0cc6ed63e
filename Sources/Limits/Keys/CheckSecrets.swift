// SPDX-License-Identifier: Apache-2.0

/// What a key shows of itself, before anybody is asked.
package enum KeyProof: Sendable, Hashable {
    /// It was made with the secret of this id.
    case proven(String)
    /// It has the form of keys issued here and no right check: it was made up, or before there were checks, or elsewhere, or
    /// under a secret that isn't known.
    case unproven
    /// It has another form, which has no check.
    case foreign
}

/// What sidecars do with keys that have the form of issued ones and no right check (`keys.check`).
package enum KeyCheckMode: String, Sendable, Hashable, Codable {
    /// Nobody knows of checks.
    case off
    /// They are looked up as far as there is room beside others.
    case prefer
    /// They are refused.
    case require
}

/// The secrets of a deployment: keys made with any of them are proven.
package struct CheckSecrets: Sendable, Hashable {
    /// Each costs an unproven key a HMAC.
    package static let most = 8

    /// The one to issue with is the first.
    package let all: [CheckSecret]

    package init(_ all: [CheckSecret] = []) {
        self.all = Array(all.prefix(Self.most))
    }

    package var isEmpty: Bool { all.isEmpty }

    /// - Parameter prefix: of keys issued here. One that is proven is so whatever it begins with: an older prefix is under the
    ///   check as well.
    package func proof(of key: [UInt8], prefix: [UInt8]) -> KeyProof {
        if let parts = KeyForm.parts(key) {
            for secret in all where secret.check(of: parts.checked) == parts.check { return .proven(secret.id) }
        }
        return KeyForm.fits(key, prefix: prefix) ? .unproven : .foreign
    }
}
