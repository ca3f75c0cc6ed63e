// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

@testable import Settings

/// Entries of `listen` with more than an address. What is wrong with the keys by themselves is in `Refusals/listen.txt`.
@Suite struct ListenTests {
    private func settings(_ yaml: String, _ environment: [String: String] = [:]) throws -> Settings {
        try Settings.load(
            ConfigurationSources(file: "t.yaml", environment: environment, looksAtFolders: true), text: yaml)
    }

    private func problems(_ yaml: String, _ environment: [String: String] = [:]) -> [String] {
        SettingsTests.problems(of: { try settings(yaml, environment) })
    }

    @Test func addressesAndEntriesStandSideBySide() throws {
        let yaml = """
            listen:
              - 127.0.0.1:1
              - {address: "[::]:2"}
              - address: unix:/run/a
                tls:
                  {certificate: /a.crt, key: /a.key, certificates: [{certificate: /b.crt, key: /b.key}], client_ca: /ca.crt,
                   allow_subjects: [a.example, "spiffe://b"], min_version: 1.3, hsts: 365d}
            """
        let tls = Settings.ListenTLS(
            files: ServerFiles(
                identities: [.init(certificate: "/a.crt", key: "/a.key"), .init(certificate: "/b.crt", key: "/b.key")],
                clientAuthorities: "/ca.crt"),
            least: .tls13, allowedSubjects: ["a.example", "spiffe://b"], strictTransport: .seconds(365 * 86_400))
        let read = try Settings.load(ConfigurationSources(file: "t.yaml"), text: yaml)
        #expect(
            read.listen == [
                .tcp(host: "127.0.0.1", port: 1), .tcp(host: "::", port: 2),
                Settings.Listen(.unix(path: "/run/a"), opening: .init(tls: tls)),
            ])
        #expect(
            read.summary.first == "listens on 127.0.0.1:1, [::]:2, unix:/run/a (TLS with clients' certificates); "
                + "admin pages on 127.0.0.1:9901")
    }

    /// The first of `certificates` is the default where there is no other.
    @Test func oneEntryNeedsNoList() throws {
        let read = try Settings.load(
            ConfigurationSources(file: "t.yaml"),
            text: "listen: {address: 127.0.0.1:1, tls: {certificates: [{certificate: /b.crt, key: /b.key}]}}")
        let files = ServerFiles(identities: [.init(certificate: "/b.crt", key: "/b.key")])
        #expect(
            read.listen == [
                Settings.Listen(.tcp(host: "127.0.0.1", port: 1), opening: .init(tls: Settings.ListenTLS(files: files)))
            ])
    }

    @Test func filesAreReadWhereTheyAreToBeUsed() async throws {
        try await CertificatePair.withFolder { folder in
            let (certificate, key) = ("\(folder)/own.crt", "\(folder)/own.key")
            try CertificatePair.write(CertificatePair.one.certificate, to: certificate)
            try CertificatePair.write(CertificatePair.one.key, to: key)
            let yaml = "listen: {address: 127.0.0.1:1, tls: {certificate: \(certificate), key: \(key)}}"
            let read = try settings(yaml).listen[0].opening.tls
            let files = ServerFiles(identities: [.init(certificate: certificate, key: key)])
            #expect(try read?.certificates == ServerCertificates(reading: files, least: .tls12))
            // tollgatectl may not read what is a sidecar's.
            let looked = try Settings.load(ConfigurationSources(file: "t.yaml", readsSecrets: true), text: yaml)
            #expect(looked.listen[0].opening.tls?.certificates == nil)
        }
    }

    @Test func aFileThatIsOfNoUseIsToldWhereItIsNamed() async throws {
        try await CertificatePair.withFolder { folder in
            let (certificate, key) = ("\(folder)/own.crt", "\(folder)/own.key")
            try CertificatePair.write(CertificatePair.two.certificate, to: certificate)
            try CertificatePair.write(CertificatePair.one.key, to: key)
            let pair = "certificate: \(certificate)\n    key: \(key)"
            let entry = "listen:\n  address: 127.0.0.1:1\n  tls:\n    "
            #expect(
                problems("\(entry)\(pair)") == [
                    "t.yaml:5:10: listen.tls.key: expected a file of the certificate's private key, got \(key): one that doesn't "
                        + "belong to \(certificate)"
                ])
            #expect(
                problems("\(entry)certificate: /nowhere/a.crt\n    key: \(key)") == [
                    "t.yaml:4:18: listen.tls.certificate: expected a file of a certificate, got /nowhere/a.crt: no such file"
                ])
            try CertificatePair.write(CertificatePair.two.key, to: key)
            #expect(
                problems("\(entry)\(pair)\n    client_ca: \(key)") == [
                    "t.yaml:6:16: listen.tls.client_ca: expected a file of certificates of authorities, got \(key): no certificate "
                        + "in PEM, or one that is cut off"
                ])
            #expect(
                problems("\(entry)\(pair)\n    certificates: [{certificate: \(key), key: \(key)}]") == [
                    "t.yaml:6:19: listen.tls.certificates: expected a file of a certificate, got \(key): no certificate in PEM, or "
                        + "one that is cut off"
                ])
        }
    }

    /// They would take the place of the entries, and TLS would be gone.
    @Test func addressesElsewhereDontTakeThePlaceOfEntries() throws {
        let entries = "listen: [{address: 127.0.0.1:1, tls: {certificate: /a.crt, key: /a.key}}]"
        let sources = ConfigurationSources(
            file: "t.yaml", flags: [.listen: "127.0.0.1:2"], environment: ["TOLLGATE_LISTEN": "127.0.0.1:3,127.0.0.1:4"]
        )
        let told = "expected no addresses here beside entries with tls or proxy_protocol in the file, got "
        let hint = " (they would take the place of all entries: name the addresses there)"
        do throws(ConfigurationError) {
            _ = try Settings.load(sources, text: entries)
            Issue.record("It was taken")
        } catch {
            #expect(error.lines == ["--listen: \(told)'127.0.0.1:2'\(hint)"])
        }
        #expect(try Settings.load(sources, text: "listen: 127.0.0.1:1").listen == [.tcp(host: "127.0.0.1", port: 2)])
    }
}
