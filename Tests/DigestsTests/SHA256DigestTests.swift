// SPDX-License-Identifier: Apache-2.0

import Digests
import Testing

@Suite struct SHA256DigestTests {
    /// NIST, "Secure Hash Standard", FIPS 180-4: examples of SHA-256, and the empty message.
    @Test(
        arguments: [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
        ])
    func examplesOfNIST(message: String, digest: String) {
        #expect(hexadecimal(Array(message.utf8)) == digest)
    }

    /// RFC 4231 §4: cases 1, 2, 3 and 6.
    @Test(
        arguments: [
            (
                Array(repeating: 0x0B, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                Array(repeating: 0xAA, count: 20), Array(repeating: 0xDD, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                Array(repeating: 0xAA, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ] as [([UInt8], [UInt8], String)])
    func codesUnderAKey(key: [UInt8], message: [UInt8], code: String) {
        let key = HMACKey(key)
        // What one code was made with is as it was for the next.
        for _ in 0..<2 { #expect(key.code(of: message).hexadecimal == Array(code.utf8)) }
    }

    @Test func aMillionOctets() {
        #expect(
            hexadecimal(Array(repeating: UInt8(ascii: "a"), count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    /// Every length around the ends of blocks: the digest of all their digests, computed with Python's hashlib.
    @Test func allLengths() {
        let digests = (0...300).flatMap { count -> [UInt8] in
            let words = SHA256Digest(of: (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + count) }).words
            return [words.0, words.1, words.2, words.3].flatMap { word in
                stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
            }
        }
        #expect(hexadecimal(digests) == "60d63ff40b5558727a9b786ac0be9300f7ca58fd9ddd3b2f3681b369018a87dc")
    }

    private func hexadecimal(_ octets: [UInt8]) -> String {
        String(decoding: SHA256Digest(of: octets).hexadecimal, as: UTF8.self)
    }
}
