// SPDX-License-Identifier: Apache-2.0

import Limits
package import TLS

/// The keys of TLS to a server, the same for each that is reached by a URL.
struct TLSKeys: Sendable {
    /// Whom they are about, in the words of messages.
    struct Server: Sendable {
        /// That the keys are below: `redis.tls`.
        let section: String
        /// Of the URL: `redis.url`.
        let url: String
        /// That switches TLS on: `rediss://`.
        let scheme: String
        /// What stands there without it.
        let plainSchemes: String
        let name: String
        /// `Redis'`
        let possessive: String
        /// What a file of its may be called.
        let example: String
    }

    private let server: Server
    let authorities: Setting<String>
    let certificate: Setting<String>
    let key: Setting<String>
    let serverName: Setting<String>

    init(_ server: Server) {
        let (section, url) = (server.section, server.url)
        self.server = server
        authorities = Setting(
            "\(section).ca", .authorities(such: server.example), default: "system",
            "With \(server.scheme) in \(url): who may have signed \(server.possessive) certificate: a PEM file, or whom the "
                + "system trusts (system).")
        certificate = Setting(
            "\(section).certificate", .certificateFile, default: nil,
            "PEM file of a certificate that \(server.name) is shown, and of those between it and an authority. Default: none."
        )
        key = Setting(
            "\(section).key", .certificateFile, default: nil,
            "PEM file of its private key, without a passphrase. Changed files are used within a second, for new connections."
        )
        serverName = Setting(
            "\(section).server_name", .serverName, default: nil,
            "Name that \(server.possessive) certificate has to have. Default: the host of \(url).")
    }

    var schema: Schema {
        let section = server.section
        let synonyms = [
            "cafile": authorities, "ca_file": authorities, "cacert": authorities, "cert": certificate,
            "cert_file": certificate, "key_file": key, "private_key": key, "sni": serverName,
        ]
        return Schema(
            [authorities.row, certificate.row, key.row, serverName.row],
            synonyms: Dictionary(uniqueKeysWithValues: synonyms.map { ("\(section).\($0)", $1.path) }),
            remarks: [
                "certificates are always verified": Set(
                    ["verify", "insecure", "insecure_skip_verify", "skip_verify"].map { "\(section).\($0)" }),
                "\(server.scheme) in \(server.url) switches it on": ["\(section).enabled"],
            ],
            rules: [section: ["dependentRequired": ["certificate": ["key"], "key": ["certificate"]]]])
    }

    /// Takes what TLS goes by, and refuses it where there is no TLS.
    ///
    /// - Parameters:
    ///   - trust: nil where the URL says that there is none.
    ///   - host: of the URL, without brackets; nil where it has none.
    ///   - plainScheme: which the URL has then; nil where it is wrong.
    func take(
        into trust: inout ServerTrust?, of host: String?, plainScheme: String?, _ root: Mapping,
        _ problems: inout ProblemList
    ) {
        let authorities = root.value(authorities, &problems)
        let certificate = root.optional(certificate, &problems)
        let key = root.optional(key, &problems)
        let serverName = root.optional(serverName, &problems)
        guard trust != nil else {
            // What holds without it may be written out, as `config show` does.
            let all =
                (authorities == Form<String>.systemAuthorities ? [] : [self.authorities.path])
                + [self.certificate, self.key, self.serverName].map(\.path)
            if let plainScheme, let given = all.first(where: { root.isGiven($0) }) {
                root.refuse(
                    given, expected: "\(server.scheme) in \(server.url) beside it", got: plainScheme, &problems)
            }
            return
        }
        guard Certificates.areSupported else {
            return root.refuse(
                server.url, expected: server.plainSchemes, got: "\(server.scheme) in a build without TLS",
                hint: "build Tollgate with the trait TLS, which it has by default", &problems)
        }
        if certificate != nil, !root.isGiven(self.key) {
            root.refuse(self.certificate, expected: "\(self.key.path) beside it", got: "no such key", &problems)
        }
        if key != nil, !root.isGiven(self.certificate) {
            root.refuse(self.key, expected: "\(self.certificate.path) beside it", got: "no such key", &problems)
        }
        if !root.isGiven(self.serverName), let host, !Self.canBeCertified(host) {
            root.refuse(
                server.url, expected: "a host that a certificate can name, or \(self.serverName.path) beside it",
                got: "'\(host.shown)'", hint: "\(self.serverName.path): the name in \(server.possessive) certificate",
                &problems)
        }
        trust?.serverName = serverName
        trust?.files = CertificateFiles(authorities: authorities, certificate: certificate, key: key)
    }

    /// An address, or a name as certificates have them: without `_`, and without the dot of the root (RFC 9525 §6.3).
    private static func canBeCertified(_ host: String) -> Bool {
        IPAddress(host) != nil || (Settings.isServerName(host) && !host.hasSuffix("."))
    }

    /// Reads the files, to be used.
    func read(into trust: inout ServerTrust?, _ root: Mapping, _ problems: inout ProblemList) {
        guard Certificates.areSupported, let given = trust else { return }
        do throws(CertificateFlaw) {
            trust?.certificates = try given.read()
        } catch {
            let (setting, expectation) =
                switch error.part {
                case .authorities: (authorities.path, "a file of certificates of authorities")
                case .certificate: (certificate.path, "a file of a certificate")
                case .key: (key.path, "a file of the certificate's private key")
                }
            root.refuse(setting, expected: expectation, got: "\(error.path.shown): \(error.reason)", &problems)
        }
    }
}

extension CertificateFiles {
    /// As settings and variables name them; a certificate and its key are of use together alone.
    package init(authorities: String?, certificate: String?, key: String?) {
        self.init(authorities: authorities == Form<String>.systemAuthorities ? nil : authorities)
        if let certificate, let key { identity = Identity(certificate: certificate, key: key) }
    }
}
