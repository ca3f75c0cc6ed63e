// SPDX-License-Identifier: Apache-2.0

import Endpoints
package import TLS

extension Settings.Redis {
    static let tlsSchema = Schema(
        [authorities.row, certificate.row, key.row, serverName.row],
        synonyms: [
            "redis.tls.cafile": "redis.tls.ca", "redis.tls.ca_file": "redis.tls.ca", "redis.tls.cacert": "redis.tls.ca",
            "redis.tls.cert": "redis.tls.certificate", "redis.tls.cert_file": "redis.tls.certificate",
            "redis.tls.key_file": "redis.tls.key", "redis.tls.private_key": "redis.tls.key",
            "redis.tls.sni": "redis.tls.server_name",
        ],
        remarks: [
            "certificates are always verified": [
                "redis.tls.verify", "redis.tls.insecure", "redis.tls.insecure_skip_verify", "redis.tls.skip_verify",
            ],
            "rediss:// in redis.url switches it on": ["redis.tls.enabled"],
        ],
        rules: ["redis.tls": ["dependentRequired": ["certificate": ["key"], "key": ["certificate"]]]])

    static let authorities = Setting(
        "redis.tls.ca", .authorities, default: "system",
        "With rediss:// in redis.url: who may have signed Redis' certificate: a PEM file, or whom the system trusts (system)."
    )
    static let certificate = Setting<String>(
        "redis.tls.certificate", .certificateFile, default: nil,
        "PEM file of a certificate that Redis is shown, and of those between it and an authority. Default: none.")
    static let key = Setting<String>(
        "redis.tls.key", .certificateFile, default: nil,
        "PEM file of its private key, without a passphrase. Changed files are used within a second, for new connections."
    )
    static let serverName = Setting<String>(
        "redis.tls.server_name", .serverName, default: nil,
        "Name that Redis' certificate has to have. Default: the host of redis.url.")

    /// Takes what TLS goes by, and refuses it where there is no TLS.
    mutating func takeSecurity(_ root: Mapping, isURLWrong: Bool, _ problems: inout ProblemList) {
        let authorities = root.value(Self.authorities, &problems)
        let certificate = root.optional(Self.certificate, &problems)
        let key = root.optional(Self.key, &problems)
        let serverName = root.optional(Self.serverName, &problems)
        guard endpoint.security != nil else {
            // What holds without it may be written out, as `config show` does.
            let all =
                (authorities == Form<String>.systemAuthorities ? [] : [Self.authorities.path])
                + [Self.certificate, Self.key, Self.serverName].map(\.path)
            if !isURLWrong, let given = all.first(where: { root.isGiven($0) }) {
                let scheme = if case .unix = endpoint.address { "unix:" } else { "redis://" }
                root.refuse(given, expected: "rediss:// in redis.url beside it", got: scheme, &problems)
            }
            return
        }
        guard Certificates.areSupported else {
            return root.refuse(
                Self.endpoint, expected: "redis:// or unix:", got: "rediss:// in a build without TLS",
                hint: "build Tollgate with the trait TLS, which it has by default", &problems)
        }
        if certificate != nil, !root.isGiven(Self.key) {
            root.refuse(Self.certificate, expected: "redis.tls.key beside it", got: "no such key", &problems)
        }
        if key != nil, !root.isGiven(Self.certificate) {
            root.refuse(Self.key, expected: "redis.tls.certificate beside it", got: "no such key", &problems)
        }
        endpoint.security?.serverName = serverName
        endpoint.security?.files = CertificateFiles(
            authorities: authorities, certificate: certificate, key: key)
    }

    /// Reads the files, to be used.
    mutating func readCertificates(_ root: Mapping, _ problems: inout ProblemList) {
        guard Certificates.areSupported, let security = endpoint.security else { return }
        do throws(CertificateFlaw) {
            endpoint.security?.certificates = try Certificates(reading: security.files)
        } catch {
            let (setting, expectation) =
                switch error.part {
                case .authorities: (Self.authorities.path, "a file of certificates of authorities")
                case .certificate: (Self.certificate.path, "a file of a certificate")
                case .key: (Self.key.path, "a file of the certificate's private key")
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
