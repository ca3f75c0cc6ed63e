// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing

@Suite struct KeyCheckTests {
    /// Octets 0 to 31, and a key with octets 100 to 125 behind `mcp_`, made by Python's hmac.
    private static let secretText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    private static let key = "mcp_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH0iX2j7dk0"

    private let secret: CheckSecret
    private let prefix = Array("mcp_".utf8)

    init() throws {
        secret = try #require(CheckSecret(parsing: "abcdefg2 \(Self.secretText)"))
    }

    private func proof(_ key: String, _ secrets: CheckSecret...) -> KeyProof {
        CheckSecrets(secrets).proof(of: Array(key.utf8), prefix: prefix)
    }

    @Test func takesWhatAnotherProgramMade() {
        #expect(proof(Self.key, secret) == .proven("abcdefg2"))
    }

    @Test func provesWhatItMakes() {
        for prefix in ["mcp_", "sk-live_", "~"] {
            for _ in 0..<100 {
                let key = KeyForm.random(prefix: prefix, under: secret)
                #expect(key.utf8.count == prefix.utf8.count + 43)
                #expect(proof(key, .random(), secret) == .proven("abcdefg2"))
            }
        }
        #expect(Set((0..<100).map { _ in KeyForm.random(prefix: "mcp_", under: secret) }).count == 100)
    }

    /// Each octet counts: of the prefix, of what is random, of the check, and the last character's unused bits.
    @Test func anyOtherOctetProvesNothing() {
        let octets = Array(Self.key.utf8)
        for position in octets.indices {
            for other in "AZaz09-_".utf8 where other != octets[position] {
                var changed = octets
                changed[position] = other
                let proof = CheckSecrets([secret]).proof(of: changed, prefix: prefix)
                #expect(proof == (position < 4 ? .foreign : .unproven))
            }
        }
    }

    @Test func anotherSecretProvesNothing() {
        #expect(proof(Self.key) == .unproven)
        #expect(proof(Self.key, .random()) == .unproven)
        #expect(proof(KeyForm.random(prefix: "mcp_", under: nil), secret) == .unproven)
    }

    @Test(arguments: [
        "", "mcp_", "mcp_x", "mcp_" + String(repeating: "a", count: 42), "sk_" + String(repeating: "a", count: 43),
    ])
    func otherFormsHaveNoCheck(key: String) {
        #expect(proof(key, secret) == .foreign)
    }

    @Test func aCutOrLongerKeyIsOfNoFormOfOurs() {
        #expect(proof(String(Self.key.dropLast()), secret) == .foreign)
        #expect(proof(Self.key + "A", secret) == .foreign)
        #expect(proof("A" + Self.key, secret) == .foreign)
    }

    @Test(arguments: [
        "abcdefg2", "abcdefg1 \(secretText)", "abcdefg \(secretText)", "abcdefg2 \(secretText.dropLast())",
        "abcdefg2 \(secretText)x", "abcdefg2 \(secretText) x", "ABCDEFG2 \(secretText)",
        // Bits that nobody would read.
        "abcdefg2 \(secretText.dropLast())9",
    ])
    func refusesWhatIsNoSecret(text: String) {
        #expect(CheckSecret(parsing: text) == nil)
    }

    @Test func saysNothingOfItself() {
        #expect("\(secret)" == "abcdefg2")
        #expect(!String(reflecting: secret).contains(Self.secretText))
        #expect(secret.secretText == Self.secretText)
    }

    @Test func encodesAndDecodes() {
        for count in 0...40 {
            let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            let text = Base64URL.text(octets)
            #expect(Base64URL.octets(text.utf8) == octets)
        }
        // RFC 4648 §10, without padding.
        #expect(Base64URL.text(Array("foobar".utf8)) == "Zm9vYmFy" && Base64URL.text(Array("fo".utf8)) == "Zm8")
        for wrong in ["Z", "Zm9vY", "Zm9=", "Zm+v", "Zn", "Zm9", " Zm8"] where wrong != "Zm9" {
            #expect(Base64URL.octets(wrong.utf8) == nil)
        }
    }
}
