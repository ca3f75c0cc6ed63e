// SPDX-License-Identifier: Apache-2.0

/// Which of a cluster's 16 384 parts a key lies in: CRC-16/XMODEM of its hash tag, or of the whole key where it has
/// none (Redis cluster specification, "Key distribution model" and "Hash tags").
///
/// A command, and a script, can touch keys of one hash slot only. It is computed bit by bit, so work it out once a
/// name.
package struct HashSlot: Sendable, Hashable {
    package static let count: UInt16 = 16_384

    package let number: UInt16

    package init(of key: some Collection<UInt8>) {
        number = Self.checksum(Self.tag(of: key)) % Self.count
    }

    package init(of key: String) {
        self.init(of: key.utf8)
    }

    /// What stands between the first `{` and the first `}` after it, if anything does.
    private static func tag<Key: Collection<UInt8>>(of key: Key) -> Key.SubSequence {
        guard let opening = key.firstIndex(of: UInt8(ascii: "{")) else { return key[...] }
        let rest = key[opening...].dropFirst()
        guard let closing = rest.firstIndex(of: UInt8(ascii: "}")), closing != rest.startIndex else { return key[...] }
        return rest[..<closing]
    }

    private static func checksum(_ octets: some Collection<UInt8>) -> UInt16 {
        octets.reduce(0) { sum, octet in
            (0..<8).reduce(sum ^ UInt16(octet) << 8) { rest, _ in rest & 0x8000 == 0 ? rest << 1 : rest << 1 ^ 0x1021 }
        }
    }
}
