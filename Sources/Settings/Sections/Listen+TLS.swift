// SPDX-License-Identifier: Apache-2.0

import TLS

extension ListenEntry {
    static let tlsPath = "tls"

    static let tlsSchema = Schema(
        [
            certificate.row, key.row, certificates.row, clientAuthorities.row, allowedSubjects.row, least.row,
            strictTransport.row,
        ],
        synonyms: [
            "tls.cert": "tls.certificate", "tls.cert_file": "tls.certificate", "tls.key_file": "tls.key",
            "tls.private_key": "tls.key", "tls.ca": "tls.client_ca", "tls.client_cas": "tls.client_ca",
            "tls.client_ca_file": "tls.client_ca", "tls.subjects": "tls.allow_subjects",
            "tls.min_tls_version": "tls.min_version", "tls.minimum_version": "tls.min_version",
        ],
        remarks: [
            "with client_ca each client has to show a certificate": [
                "tls.client_auth", "tls.verify", "tls.verify_client", "tls.require_client_cert",
            ],
            "those of TLS 1.2 and 1.3 that BoringSSL takes for good": ["tls.ciphers", "tls.cipher_suites"],
        ],
        rules: [
            tlsPath: [
                "dependentRequired": [
                    "certificate": ["key"], "key": ["certificate"], "allow_subjects": ["client_ca"],
                ],
                "anyOf": [["required": ["certificate"]], ["required": ["certificates"]]],
            ]
        ])

    static let certificate = Setting<String>(
        "tls.certificate", .certificateFile, default: nil,
        "PEM file of the certificate that clients are shown, and of those between it and an authority.")
    static let key = Setting<String>(
        "tls.key", .certificateFile, default: nil,
        "PEM file of its private key, without a passphrase. Changed files are used within a second, for new connections."
    )
    static let certificates = Setting(
        "tls.certificates", .certificateFiles,
        "More of them, chosen by the name that a client asks for (SNI). Without one that fits, tls.certificate or the first."
    )
    static let clientAuthorities = Setting<String>(
        "tls.client_ca", .certificateFile, default: nil,
        "PEM file of authorities: each client has to show a certificate of theirs. The handler reads whose in "
            + "X-Tollgate-Client-Name. Default: none is asked for.")
    static let allowedSubjects = Setting(
        "tls.allow_subjects",
        .list(
            "a list of names such as spiffe://example.org/app", of: .certificateName,
            emptyHint: "leave it out to let in everybody whom client_ca has signed for"),
        "With client_ca: names that are let in, each exactly what X-Tollgate-Client-Name says. Default: all.")
    static let least = Setting(
        "tls.min_version", .choice(["1.2": LeastVersion.tls12, "1.3": .tls13], alsoNumbers: true), default: "\"1.2\"",
        "The oldest version of TLS that is spoken.")
    static let strictTransport = Setting<Duration>(
        "tls.hsts", .duration(.seconds(1)...(.seconds(2 * 365 * 86_400))), default: nil,
        "How long browsers are told to come by https alone (Strict-Transport-Security). Default: they are told nothing."
    )

    fileprivate func refuse(_ flaw: CertificateFlaw, _ problems: inout ProblemList) {
        guard let mapping else { return }
        let expectation =
            switch flaw.part {
            case .authorities: "a file of certificates of authorities"
            case .certificate: "a file of a certificate"
            case .key: "a file of the certificate's private key"
            }
        let own = mapping.element(for: flaw.part == .key ? Self.key : Self.certificate)?.scalar?.text
        let path =
            switch flaw.part {
            case .authorities: Self.clientAuthorities.path
            case .certificate, .key:
                own != flaw.path ? Self.certificates.path : flaw.part == .key ? Self.key.path : Self.certificate.path
            }
        mapping.refuse(path, expected: expectation, got: "\(flaw.path.shown): \(flaw.reason)", &problems)
    }

    mutating func readCertificates(_ problems: inout ProblemList) {
        guard Certificates.areSupported, let tls = listen.opening.tls else { return }
        do throws(CertificateFlaw) {
            listen.opening.tls?.certificates = try ServerCertificates(reading: tls.files, least: tls.least)
        } catch {
            refuse(error, &problems)
        }
    }
}

extension Settings.ListenTLS {
    /// Nil where something is wrong, which was reported.
    init?(_ mapping: Mapping, _ problems: inout ProblemList) {
        let certificate = mapping.optional(ListenEntry.certificate, &problems)
        let key = mapping.optional(ListenEntry.key, &problems)
        let others = mapping.optional(ListenEntry.certificates, &problems)
        let authorities = mapping.optional(ListenEntry.clientAuthorities, &problems)
        let subjects = mapping.optional(ListenEntry.allowedSubjects, &problems)
        let least = mapping.value(ListenEntry.least, &problems)
        let strictTransport = mapping.optional(ListenEntry.strictTransport, &problems)
        guard Certificates.areSupported else {
            mapping.refuse(
                ListenEntry.tlsPath, expected: "no tls in a build without TLS", got: "one",
                hint: "build Tollgate with the trait TLS, which it has by default", &problems)
            return nil
        }
        Self.refuseConflicts(mapping, &problems)
        var identities = others ?? []
        if let certificate, let key { identities.insert(.init(certificate: certificate, key: key), at: 0) }
        guard !identities.isEmpty else { return nil }
        self.init(
            files: ServerFiles(identities: identities, clientAuthorities: authorities), least: least,
            allowedSubjects: subjects.map(Set.init), strictTransport: strictTransport)
    }

    private static func refuseConflicts(_ mapping: Mapping, _ problems: inout ProblemList) {
        let (certificate, key) = (ListenEntry.certificate, ListenEntry.key)
        if mapping.isGiven(certificate), !mapping.isGiven(key) {
            mapping.refuse(certificate, expected: "tls.key beside it", got: "no such key", &problems)
        }
        if mapping.isGiven(key), !mapping.isGiven(certificate) {
            mapping.refuse(key, expected: "tls.certificate beside it", got: "no such key", &problems)
        }
        if !mapping.isGiven(certificate), !mapping.isGiven(key), !mapping.isGiven(ListenEntry.certificates) {
            mapping.refuse(
                ListenEntry.tlsPath, expected: "tls.certificate and tls.key", got: "none of them", &problems)
        }
        if mapping.isGiven(ListenEntry.allowedSubjects), !mapping.isGiven(ListenEntry.clientAuthorities) {
            mapping.refuse(
                ListenEntry.allowedSubjects, expected: "tls.client_ca beside it", got: "no such key",
                hint: "without it no client has a name", &problems)
        }
    }
}

/// An entry of `tls.certificates`.
enum CertificateEntry {
    static let schema = Schema(
        [certificate.row, key.row], synonyms: ["cert": "certificate", "private_key": "key"],
        rules: ["": ["required": ["certificate", "key"]]])

    static let certificate = Setting<String>(
        "certificate", .certificateFile, default: nil,
        "PEM file of a certificate for the names in it (exactly, or *. and one label), and of those between it and an authority."
    )
    static let key = Setting<String>(
        "key", .certificateFile, default: nil, "PEM file of its private key, without a passphrase.")

    static func read(_ mapping: Mapping, _ problems: inout ProblemList) -> CertificateFiles.Identity? {
        let certificate = mapping.required(certificate, &problems)
        let key = mapping.required(key, &problems)
        guard let certificate, let key else { return nil }
        return CertificateFiles.Identity(certificate: certificate, key: key)
    }
}
