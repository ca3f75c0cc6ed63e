// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

@testable import Settings

/// Certificates for the handler. What is wrong with the keys by themselves is in `Refusals/upstream.txt`.
@Suite struct UpstreamTLSTests {
    private func settings(_ yaml: String, readsSecrets: Bool = true) throws -> Settings {
        try Settings.load(ConfigurationSources(file: "t.yaml", readsSecrets: readsSecrets), text: yaml)
    }

    @Test func filesAreReadWhereTheyAreToBeUsed() async throws {
        try await CertificatePair.withFolder { folder in
            let (ca, certificate, key) = ("\(folder)/ca.crt", "\(folder)/own.crt", "\(folder)/own.key")
            try CertificatePair.write(CertificatePair.one.certificate, to: ca)
            try CertificatePair.write(CertificatePair.two.certificate, to: certificate)
            try CertificatePair.write(CertificatePair.two.key, to: key)
            let yaml =
                "upstream: {url: https://h, tls: {ca: \(ca), certificate: \(certificate), key: \(key), server_name: n.example}}"
            let read = try settings(yaml).upstream.security
            let files = CertificateFiles(
                authorities: ca, identity: CertificateFiles.Identity(certificate: certificate, key: key))
            #expect(try read?.certificates == Certificates(reading: files, offering: ["http/1.1"]))
            #expect(
                try settings(yaml, readsSecrets: false).upstream.security
                    == ServerTrust(serverName: "n.example", files: files, protocols: ["http/1.1"]))
            try CertificatePair.write(CertificatePair.one.key, to: key)
            #expect(throws: ConfigurationError.self) { try settings(yaml) }
        }
    }

    @Test(
        arguments: [
            ("https://h", "h", "https://h:443"), ("https://h:443", "h", "https://h:443"),
            ("https://h:80/", "h:80", "https://h:80"), ("https://[::1]", "[::1]", "https://[::1]:443"),
            ("http://h", "h", "h:80"), ("http://h:443", "h:443", "h:443"),
        ])
    func theSchemeHasItsOwnPort(url: String, authority: String, address: String) throws {
        let upstream = try settings("upstream: {url: '\(url)'}", readsSecrets: false).upstream
        #expect(upstream.authority == authority)
        #expect(upstream.address == address)
        #expect((upstream.security != nil) == url.hasPrefix("https"))
    }

    @Test func aDocumentIsReachedAsTheHandlerIs() throws {
        for document in ["/openapi.json", "https://h:8443/openapi.json"] {
            let yaml = "upstream: {url: https://h:8443}\nroutes: [{openapi: '\(document)'}]"
            let source = try settings(yaml, readsSecrets: false).discovery?.sources.first
            #expect(source?.isSecured == true)
            #expect(source?.description == "https://h:8443/openapi.json")
        }
        let plain = try settings(
            "upstream: {url: https://h}\nroutes: [{openapi: 'http://h:81/o.json'}]", readsSecrets: false)
        #expect(plain.discovery?.sources.first?.description == "http://h:81/o.json")
    }

    /// What holds without it may be written out, as `config show` does.
    @Test func theDefaultMayStandWithoutTLS() throws {
        #expect(try settings("upstream: {url: http://h, tls: {ca: system}}").upstream.security == nil)
    }
}
