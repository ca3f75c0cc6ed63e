// SPDX-License-Identifier: Apache-2.0

import Endpoints
import TLS
import TestSupport
import Testing

@testable import Settings

/// Certificates for Redis. What is wrong with the keys by themselves is in `Refusals/redis.txt`.
@Suite struct RedisTLSTests {
    private func settings(_ yaml: String, _ environment: [String: String] = [:]) throws -> Settings {
        try Settings.load(
            ConfigurationSources(file: "t.yaml", environment: environment, readsSecrets: true), text: yaml)
    }

    private func problems(_ yaml: String, _ environment: [String: String] = [:]) -> [String] {
        SettingsTests.problems(of: { try settings(yaml, environment) })
    }

    @Test func filesAreReadWhereTheyAreToBeUsed() async throws {
        try await CertificatePair.withFolder { folder in
            let (ca, certificate, key) = ("\(folder)/ca.crt", "\(folder)/own.crt", "\(folder)/own.key")
            try CertificatePair.write(CertificatePair.one.certificate, to: ca)
            try CertificatePair.write(CertificatePair.two.certificate, to: certificate)
            try CertificatePair.write(CertificatePair.two.key, to: key)
            let yaml =
                "redis: {url: rediss://h, tls: {ca: \(ca), certificate: \(certificate), key: \(key), server_name: r.example}}"
            let read = try settings(yaml).redis.endpoint.security
            let files = CertificateFiles(
                authorities: ca, identity: CertificateFiles.Identity(certificate: certificate, key: key))
            #expect(read?.serverName == "r.example")
            #expect(read?.files == files)
            #expect(try read?.certificates == Certificates(reading: files))
            let looked = try Settings.load(ConfigurationSources(file: "t.yaml"), text: yaml).redis.endpoint.security
            #expect(looked == ServerTrust(serverName: "r.example", files: files))
            let byVariables = try settings(
                "loops: 1",
                [
                    "TOLLGATE_REDIS_URL": "valkeys://h", "TOLLGATE_REDIS_TLS_CA": ca, "TOLLGATE_REDIS_TLS_KEY": key,
                    "TOLLGATE_REDIS_TLS_CERTIFICATE": certificate, "TOLLGATE_REDIS_TLS_SERVER_NAME": "r.example",
                ])
            #expect(byVariables.redis.endpoint.security == read)
        }
    }

    @Test func aFileThatIsOfNoUseIsToldWhereItIsNamed() async throws {
        try await CertificatePair.withFolder { folder in
            let (ca, certificate, key) = ("\(folder)/ca.crt", "\(folder)/own.crt", "\(folder)/own.key")
            try CertificatePair.write(CertificatePair.one.certificate, to: ca)
            try CertificatePair.write(CertificatePair.two.certificate, to: certificate)
            try CertificatePair.write(CertificatePair.one.key, to: key)
            let pair = "certificate: \(certificate), key: \(key)"
            #expect(
                problems("redis:\n  url: rediss://h\n  tls: {ca: /nowhere/ca.crt}") == [
                    "t.yaml:3:13: redis.tls.ca: expected a file of certificates of authorities, got /nowhere/ca.crt: no such file"
                ])
            #expect(
                problems("redis:\n  url: rediss://h\n  tls:\n    ca: \(ca)\n    certificate: \(key)\n    key: \(key)")
                    == [
                        "t.yaml:5:18: redis.tls.certificate: expected a file of a certificate, got \(key): no certificate in PEM, or "
                            + "one that is cut off"
                    ])
            #expect(
                problems("redis: {url: rediss://h}", ["TOLLGATE_REDIS_TLS_CA": folder]) == [
                    "TOLLGATE_REDIS_TLS_CA: expected a file of certificates of authorities, got \(folder): a directory"
                ])
            #expect(
                problems("redis:\n  url: rediss://h\n  tls: {\(pair), ca: \(ca)}").map {
                    $0.suffix(after: "redis.tls.key: ")
                } == [
                    "expected a file of the certificate's private key, got \(key): one that doesn't belong to \(certificate)"
                ])
        }
    }

    /// What holds without it may be written out, as `config show` does.
    @Test func theDefaultMayStandWithoutTLS() throws {
        #expect(try settings("redis: {url: redis://h, tls: {ca: system}}").redis.endpoint.security == nil)
    }
}

extension String {
    fileprivate func suffix(after words: String) -> String {
        firstRange(of: words).map { String(self[$0.upperBound...]) } ?? self
    }
}
