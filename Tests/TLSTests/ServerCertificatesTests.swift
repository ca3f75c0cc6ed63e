// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import TLS

@Suite struct ServerCertificatesTests {
    private static func write(_ folder: String, _ name: String, _ certificate: CertificatePair, _ key: CertificatePair)
        throws -> CertificateFiles.Identity
    {
        let files = CertificateFiles.Identity(certificate: "\(folder)/\(name).crt", key: "\(folder)/\(name).key")
        try CertificatePair.write(certificate.certificate, to: files.certificate)
        try CertificatePair.write(key.key, to: files.key)
        return files
    }

    @Test func whatIsInTheFilesCounts() async throws {
        try await CertificatePair.withFolder { folder in
            let identity = try Self.write(folder, "own", .one, .one)
            let files = ServerFiles(identities: [identity])
            let first = try ServerCertificates(reading: files, least: .tls12)
            #expect(try ServerCertificates(reading: files, least: .tls12) == first)
            #expect(try ServerCertificates(reading: files, least: .tls13) != first)
            #expect(first.ends.count == 1 && first.ends[0] > 4_900_000_000)
            _ = try Self.write(folder, "own", .two, .two)
            #expect(try ServerCertificates(reading: files, least: .tls12) != first)
        }
    }

    /// Also of one that only some names choose, which no handshake of others would have shown.
    @Test func eachKeyBelongsToItsCertificate() async throws {
        try await CertificatePair.withFolder { folder in
            let good = try Self.write(folder, "good", .one, .one)
            let bad = try Self.write(folder, "bad", .two, .one)
            let flaw = CertificateFlaw(
                part: .key, path: bad.key, reason: "one that doesn't belong to \(bad.certificate)")
            for identities in [[bad], [good, bad]] {
                #expect(throws: flaw) {
                    try ServerCertificates(reading: ServerFiles(identities: identities), least: .tls12)
                }
            }
            let files = ServerFiles(identities: [good], clientAuthorities: good.key)
            #expect(
                throws: CertificateFlaw(
                    part: .authorities, path: good.key, reason: "no certificate in PEM, or one that is cut off")
            ) { try ServerCertificates(reading: files, least: .tls12) }
        }
    }

    @Test func noKeyIsShown() async throws {
        try await CertificatePair.withFolder { folder in
            let files = ServerFiles(identities: [try Self.write(folder, "own", .one, .one)])
            let certificates = try ServerCertificates(reading: files, least: .tls12)
            #expect("\(certificates)" == "\(folder)/own.crt, \(folder)/own.key")
            var dumped = ""
            dump(certificates, to: &dumped)
            #expect(!dumped.contains("PRIVATE") && dumped.count < 1000)
        }
    }
}
