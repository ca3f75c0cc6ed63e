// SPDX-License-Identifier: Apache-2.0

/// What a certificate calls its owner, as octets.
struct CertificateNames: Sendable, Hashable {
    /// Of what is longer, or has other octets, no field is made.
    private static let longest = 1024

    var uris: [[UInt8]] = []
    var hosts: [[UInt8]] = []
    var mailboxes: [[UInt8]] = []
    var commonName: [UInt8]?

    /// The one that its owner is known by: its first URI, else DNS name, else mailbox, else its common name. Nil where that isn't
    /// visible ASCII: another in its place would be somebody else.
    var name: [UInt8]? {
        guard let name = uris.first ?? hosts.first ?? mailboxes.first ?? commonName,
            (1...Self.longest).contains(name.count), name.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return name
    }
}

/// The common name of a certificate's subject. NIOSSL reads it and tells it to nobody; what it takes to find it in a
/// certificate that BoringSSL has parsed and verified is less than a library of ASN.1.
enum CommonName {
    /// id-at-commonName (RFC 5280 §A.1): 2.5.4.3.
    private static let identifier: [UInt8] = [0x55, 0x04, 0x03]

    /// - Parameter certificate: in DER (RFC 5280 §4.1).
    /// - Returns: nil where there is none, or more than one: which would count is nobody's agreement.
    static func of(certificate: [UInt8]) -> [UInt8]? {
        var outermost = DERReader(certificate[...])
        guard var signed = outermost.next(.sequence), var fields = signed.next(.sequence) else { return nil }
        // A version stands in front, but in the oldest.
        if fields.nextTag == DERReader.Tag.version.rawValue { fields.skip() }
        // Serial number, signature, issuer, validity.
        for _ in 0..<4 { fields.skip() }
        guard var subject = fields.next(.sequence) else { return nil }
        var found: [[UInt8]] = []
        while var set = subject.next(.set) {
            while var attribute = set.next(.sequence) {
                guard let kind = attribute.next(.objectIdentifier), kind.rest.elementsEqual(identifier) else {
                    continue
                }
                guard let text = attribute.nextText() else { return nil }
                found.append(Array(text))
            }
        }
        return found.count == 1 ? found[0] : nil
    }
}

/// Elements of DER, one behind the other (X.690 §8.1). What isn't well-formed ends it.
private struct DERReader {
    enum Tag: UInt8 {
        case objectIdentifier = 0x06
        case sequence = 0x30
        case set = 0x31
        /// Of TBSCertificate, explicit.
        case version = 0xA0
    }

    /// UTF8String, PrintableString, TeletexString and IA5String: of each, ASCII is what it says.
    private static let texts: [UInt8] = [0x0C, 0x13, 0x14, 0x16]

    private(set) var rest: ArraySlice<UInt8>

    init(_ octets: ArraySlice<UInt8>) {
        rest = octets
    }

    var nextTag: UInt8? { rest.first }

    /// What is within the next element; nil where it is of another kind.
    mutating func next(_ tag: Tag) -> DERReader? {
        guard nextTag == tag.rawValue else { return nil }
        return take().map { DERReader($0) }
    }

    mutating func nextText() -> ArraySlice<UInt8>? {
        guard let nextTag, Self.texts.contains(nextTag) else { return nil }
        return take()
    }

    mutating func skip() {
        _ = take()
    }

    private mutating func take() -> ArraySlice<UInt8>? {
        var octets = rest.dropFirst()
        rest = []
        guard let first = octets.popFirst() else { return nil }
        var length = Int(first)
        if first >= 0x80 {
            // So many octets of length follow. More than four are longer than any certificate; none is BER's.
            let count = Int(first & 0x7F)
            guard (1...4).contains(count), octets.count >= count else { return nil }
            length = octets.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            octets = octets.dropFirst(count)
        }
        guard length <= octets.count else { return nil }
        rest = octets.dropFirst(length)
        return octets.prefix(length)
    }
}
