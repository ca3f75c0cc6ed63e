// SPDX-License-Identifier: Apache-2.0

import LibC

/// The files, all of them PEM, that one side of TLS goes by: whom it trusts, and who it says it is.
package struct CertificateFiles: Sendable, Hashable {
    package struct Identity: Sendable, Hashable {
        /// Of the certificate, and of those that lead from it to an authority.
        package var certificate: String
        /// Of its private key, without a passphrase.
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// Of certificates of authorities; nil: those that the system trusts.
    package var authorities: String?
    /// Nil: it says nothing of itself.
    package var identity: Identity?

    package init(authorities: String? = nil, identity: Identity? = nil) {
        self.authorities = authorities
        self.identity = identity
    }
}

extension CertificateFiles {
    /// Where Debian and Fedora, and those made from them, keep the certificates that they trust, in one file.
    private static let systemAuthorities = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]
    /// Names another, as for OpenSSL.
    private static let systemVariable = "SSL_CERT_FILE"

    /// The file of authorities that counts.
    var trusted: String {
        if let authorities { return authorities }
        if let named = getenv(Self.systemVariable).map({ String(cString: $0) }), !named.isEmpty { return named }
        return Self.systemAuthorities.first { access($0, R_OK) == 0 } ?? Self.systemAuthorities[0]
    }

    /// What changes when one of them does, whichever way it is changed.
    package var stamps: [FileStamp?] {
        [trusted, identity?.certificate, identity?.key].map { path in path.flatMap { FileStamp(of: $0) } }
    }
}

extension CertificateFiles: CustomStringConvertible {
    package var description: String {
        [authorities ?? "those of the system", identity?.certificate, identity?.key].compactMap(\.self)
            .joined(separator: ", ")
    }
}

/// By what a file is told from what it was, or from another that took its place: by a rename, or by a symbolic link on the way
/// to it, which is how Kubernetes changes a Secret. Who may read it counts as well.
package struct FileStamp: Sendable, Hashable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    /// Seconds and nanoseconds: of what is in it, and of what is known about it.
    private let changed: [Int]

    /// Nil where there is none.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = status.st_dev
        inode = status.st_ino
        size = status.st_size
        changed = [
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ]
    }
}
