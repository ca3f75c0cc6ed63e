// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import TLS

@Suite struct CertificatesTests {
    private static func files(_ folder: String) -> CertificateFiles {
        CertificateFiles(
            authorities: "\(folder)/ca.crt",
            identity: CertificateFiles.Identity(certificate: "\(folder)/own.crt", key: "\(folder)/own.key"))
    }

    private static func write(_ folder: String, authorities: CertificatePair, own: CertificatePair) throws {
        try CertificatePair.write(authorities.certificate, to: "\(folder)/ca.crt")
        try CertificatePair.write(own.certificate, to: "\(folder)/own.crt")
        try CertificatePair.write(own.key, to: "\(folder)/own.key")
    }

    @Test func whatIsInTheFilesTellsOneFromAnother() async throws {
        try await CertificatePair.withFolder { folder in
            let files = Self.files(folder)
            try Self.write(folder, authorities: .one, own: .two)
            let first = try Certificates(reading: files)
            let stamps = files.stamps
            try Self.write(folder, authorities: .one, own: .two)
            // Others were put in their place, and say the same.
            #expect(files.stamps != stamps)
            #expect(try Certificates(reading: files) == first)
            try Self.write(folder, authorities: .two, own: .two)
            #expect(try Certificates(reading: files) != first)
            try Self.write(folder, authorities: .one, own: .one)
            #expect(try Certificates(reading: files) != first)
        }
    }

    @Test func aFileOfSeveralAuthoritiesIsRead() async throws {
        try await CertificatePair.withFolder { folder in
            let both = CertificatePair.one.certificate + "a remark\n" + CertificatePair.two.certificate
            try CertificatePair.write(both, to: "\(folder)/ca.crt")
            _ = try Certificates(reading: CertificateFiles(authorities: "\(folder)/ca.crt"))
        }
    }

    struct Flawed: Sendable {
        var file: String
        /// Nil: there is none.
        var contents: String?
        var part: CertificateFlaw.Part
        var reason: String
    }

    private static let noCertificate = "no certificate in PEM, or one that is cut off"
    private static let noKey = "no private key in PEM without a passphrase, or one that is cut off"
    private static let flawed: [Flawed] = [
        Flawed(file: "ca.crt", contents: nil, part: .authorities, reason: "no such file"),
        Flawed(file: "ca.crt", contents: "", part: .authorities, reason: noCertificate),
        Flawed(file: "ca.crt", contents: CertificatePair.one.key, part: .authorities, reason: noCertificate),
        Flawed(
            file: "ca.crt", contents: String(repeating: "x", count: 1024 * 1024 + 1), part: .authorities,
            reason: "more than 1 MiB"),
        Flawed(file: "own.crt", contents: nil, part: .certificate, reason: "no such file"),
        Flawed(
            file: "own.crt", contents: String(CertificatePair.two.certificate.dropLast(100)), part: .certificate,
            reason: noCertificate),
        Flawed(
            file: "own.crt", contents: CertificatePair.two.certificate + "-----BEGIN CERTIFICATE-----\nMIIB",
            part: .certificate,
            reason: noCertificate),
        Flawed(file: "own.key", contents: nil, part: .key, reason: "no such file"),
        Flawed(file: "own.key", contents: CertificatePair.two.certificate, part: .key, reason: noKey),
        Flawed(file: "own.key", contents: String(CertificatePair.two.key.dropLast(60)), part: .key, reason: noKey),
        Flawed(file: "own.key", contents: CertificatePair.one.key, part: .key, reason: "one that doesn't belong to "),
    ]

    @Test(arguments: flawed)
    func aFileThatIsOfNoUseIsNamed(flawed: Flawed) async throws {
        try await CertificatePair.withFolder { folder in
            try Self.write(folder, authorities: .one, own: .two)
            let path = "\(folder)/\(flawed.file)"
            try CertificatePair.write(flawed.contents ?? "", to: path)
            if flawed.contents == nil { try CertificatePair.remove(path) }
            let flaw = #expect(throws: CertificateFlaw.self) { try Certificates(reading: Self.files(folder)) }
            let reason = flawed.reason + (flawed.reason.hasSuffix("to ") ? "\(folder)/own.crt" : "")
            #expect(flaw == CertificateFlaw(part: flawed.part, path: path, reason: reason))
            #expect(flaw?.description == "\(path): \(reason)")
        }
    }

    @Test func aKeyIsNeverShown() async throws {
        try await CertificatePair.withFolder { folder in
            try Self.write(folder, authorities: .one, own: .two)
            let certificates = try Certificates(reading: Self.files(folder))
            #expect("\(certificates)" == "\(folder)/ca.crt, \(folder)/own.crt, \(folder)/own.key")
            var dumped = ""
            dump(certificates, to: &dumped)
            #expect(!dumped.contains("NIOSSL"))
        }
    }

    @Test(arguments: ["redis.example", "redis.example.", "10.0.0.5.example", nil])
    func aServerIsMeantByNameOrAddress(host: String?) async throws {
        try await CertificatePair.withFolder { folder in
            try Self.write(folder, authorities: .one, own: .two)
            let client = try Certificates(reading: Self.files(folder)).client(of: host)
            // Nothing was said yet, so nobody is vouched for but an address, which the connection itself compares.
            #expect(client.vouch() == (host == nil ? nil : .untrusted))
        }
    }
}
