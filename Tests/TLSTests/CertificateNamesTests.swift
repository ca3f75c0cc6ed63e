// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import TLS

@Suite struct CertificateNamesTests {
    private func octets(_ texts: [String]) -> [[UInt8]] { texts.map { Array($0.utf8) } }

    @Test func theFirstOfTheFirstKindIsTheName() {
        var names = CertificateNames(
            uris: octets(["spiffe://a", "spiffe://b"]), hosts: octets(["c", "d"]), mailboxes: octets(["e@f"]),
            commonName: Array("g".utf8))
        #expect(names.name == Array("spiffe://a".utf8))
        names.uris = []
        #expect(names.name == Array("c".utf8))
        names.hosts = []
        #expect(names.name == Array("e@f".utf8))
        names.mailboxes = []
        #expect(names.name == Array("g".utf8))
        names.commonName = nil
        #expect(names.name == nil)
    }

    /// Another in its place would be somebody else.
    @Test(arguments: ["", "two words", "line\nfeed", "nul\u{0}", "Zoë", "\u{7F}", String(repeating: "a", count: 1025)])
    func whatNoFieldCanHaveIsNoName(name: String) {
        #expect(CertificateNames(uris: octets([name]), hosts: octets(["b"])).name == nil)
        #expect(CertificateNames(commonName: Array(name.utf8)).name == nil)
    }
}

/// Of certificates that are built here, an element at a time, and of one that openssl has made.
@Suite struct CommonNameTests {
    private static func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
        let length: [UInt8] =
            contents.count < 128
            ? [UInt8(contents.count)] : [0x82, UInt8(contents.count >> 8), UInt8(contents.count & 0xFF)]
        return [tag] + length + contents
    }

    private static func attribute(_ identifier: [UInt8], _ text: String, tag: UInt8 = 0x0C) -> [UInt8] {
        element(0x31, element(0x30, element(0x06, identifier) + element(tag, Array(text.utf8))))
    }

    private static let commonName: [UInt8] = [0x55, 0x04, 0x03]
    private static let organization: [UInt8] = [0x55, 0x04, 0x0A]

    private static func certificate(_ subject: [UInt8], hasVersion: Bool = true) -> [UInt8] {
        let version = hasVersion ? element(0xA0, element(0x02, [2])) : []
        let issuer = element(0x30, attribute(commonName, "authority"))
        let signed =
            version + element(0x02, [1]) + element(0x30, []) + issuer + element(0x30, []) + element(0x30, subject)
        return element(0x30, element(0x30, signed + element(0x30, [])) + element(0x30, []) + element(0x03, [0]))
    }

    private static func name(_ certificate: [UInt8]) -> String? {
        CommonName.of(certificate: certificate).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [true, false])
    func isFoundAmongOthers(hasVersion: Bool) {
        let others = Self.attribute(Self.organization, "acme")
        for subject in [
            Self.attribute(Self.commonName, "billing"), others + Self.attribute(Self.commonName, "billing") + others,
            Self.attribute(Self.commonName, "billing", tag: 0x13),
            Self.attribute(Self.commonName, "billing", tag: 0x16),
        ] {
            #expect(Self.name(Self.certificate(subject, hasVersion: hasVersion)) == "billing")
        }
        let long = String(repeating: "a", count: 300)
        #expect(Self.name(Self.certificate(Self.attribute(Self.commonName, long), hasVersion: hasVersion)) == long)
    }

    @Test func noneAndMoreThanOneAreNone() {
        #expect(Self.name(Self.certificate([])) == nil)
        #expect(Self.name(Self.certificate(Self.attribute(Self.organization, "acme"))) == nil)
        let one = Self.attribute(Self.commonName, "a")
        #expect(Self.name(Self.certificate(one + one)) == nil)
        // BMPString, whose octets are no ASCII.
        #expect(Self.name(Self.certificate(Self.attribute(Self.commonName, "\u{0}a", tag: 0x1E))) == nil)
    }

    /// Whatever is cut or changed, nothing is read that isn't there.
    @Test func nothingIsReadBeyondTheEnd() {
        let whole = Self.certificate(
            Self.attribute(Self.organization, "acme") + Self.attribute(Self.commonName, "billing"))
        for end in whole.indices { _ = CommonName.of(certificate: Array(whole[..<end])) }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var changed = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                changed[Int.random(in: changed.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            if let name = CommonName.of(certificate: changed) { #expect(name.count < whole.count) }
        }
    }
}
