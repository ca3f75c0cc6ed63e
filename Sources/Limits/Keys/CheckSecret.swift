// SPDX-License-Identifier: Apache-2.0

import Digests

/// What the checks of keys are made with, known to the sidecars of a deployment and to whoever issues keys. Who has it can make
/// keys that look like issued ones, and none that is one: those stand in Redis by their hash.
package struct CheckSecret: Sendable {
    /// Octets of one.
    private static let length = 32
    private static let idLength = 8

    /// 8 of `a–z2–7`, by which records and people name it.
    package let id: String
    private let octets: [UInt8]
    private let key: HMACKey

    /// - Returns: nil where it has another length, or the id another form.
    package init?(id: String, octets: [UInt8]) {
        guard Self.isID(id), octets.count == Self.length else { return nil }
        self.init(unchecked: id, octets)
    }

    package static func random() -> CheckSecret {
        var generator = SystemRandomNumberGenerator()
        let octets = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return CheckSecret(unchecked: KeyID.random(length: idLength), octets)
    }

    private init(unchecked id: String, _ octets: [UInt8]) {
        self.id = id
        self.octets = octets
        key = HMACKey(octets)
    }

    package static func isID(_ text: String) -> Bool { KeyID.isRandom(text, length: idLength) }

    /// `ID SECRET`, as a line of `keys.check_file` has it: the secret in base64url.
    package init?(parsing text: some StringProtocol) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let octets = Base64URL.octets(words[1].utf8) else { return nil }
        self.init(id: String(words[0]), octets: octets)
    }

    /// As it is stored, and written to a file. It is a secret.
    package var secretText: String { Base64URL.text(octets) }

    /// The check of a key whose prefix and random octets are these: 48 bits.
    func check(of octets: [UInt8]) -> UInt64 {
        key.code(of: octets).words.0 >> UInt64(64 - 8 * KeyForm.checkLength)
    }
}

extension CheckSecret: Hashable {
    package static func == (one: Self, other: Self) -> Bool {
        one.id == other.id && one.octets == other.octets
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension CheckSecret: CustomStringConvertible, CustomReflectable {
    package var description: String { id }

    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}
