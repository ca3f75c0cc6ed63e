// SPDX-License-Identifier: Apache-2.0

/// `<organization>/<10 of a–z2–7>`: it finds its record without an index and can't be taken for an organization.
package struct KeyID: Sendable, Hashable {
    private static let localLength = 10
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    package let organization: OrganizationID
    package let local: String

    package var text: String { "\(organization.text)/\(local)" }

    package init(organization: OrganizationID, local: String) {
        self.organization = organization
        self.local = local
    }

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let organization = OrganizationID(String(parts[0])),
            Self.isRandom(parts[1], length: Self.localLength)
        else { return nil }
        self.init(organization: organization, local: String(parts[1]))
    }

    /// Another key of its organization; nil where the text names none.
    package func sibling(_ local: String) -> KeyID? { KeyID("\(organization.text)/\(local)") }

    package static func randomLocal() -> String { random(length: localLength) }

    /// Always the same of the same octets, and as good as random of different ones.
    package static func local(derivedFrom octets: [UInt8]) -> String {
        let digits = CredentialHash(of: octets).hexadecimal.prefix(2 * localLength)
        let values = digits.map { Int($0) < 0x3A ? Int($0) - 0x30 : Int($0) - 0x57 }
        let places = stride(from: 0, to: values.count, by: 2).map { (values[$0] << 4 | values[$0 + 1]) & 31 }
        return String(decoding: places.map { alphabet[$0] }, as: UTF8.self)
    }

    /// So many of `a–z2–7`.
    static func random(length: Int) -> String {
        let octets = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] }
        return String(decoding: octets, as: UTF8.self)
    }

    static func isRandom(_ text: some StringProtocol, length: Int) -> Bool {
        text.utf8.count == length && text.utf8.allSatisfy(alphabet.contains)
    }
}
