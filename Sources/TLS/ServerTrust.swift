// SPDX-License-Identifier: Apache-2.0

/// What TLS to a server goes by: its certificate is always verified.
package struct ServerTrust: Sendable, Hashable {
    /// What it has to name where that isn't the host.
    package var serverName: String?
    package var files: CertificateFiles
    /// What the server is offered to be spoken to by, in the words of ALPN (RFC 7301): `http/1.1`; none: nothing is said of it.
    package var protocols: [String]
    /// What was read from the files; nil where the configuration is only looked at.
    package var certificates: Certificates?

    package init(
        serverName: String? = nil, files: CertificateFiles = CertificateFiles(), protocols: [String] = [],
        certificates: Certificates? = nil
    ) {
        self.serverName = serverName
        self.files = files
        self.protocols = protocols
        self.certificates = certificates
    }

    /// Reads the files: never on an event loop.
    package func read() throws(CertificateFlaw) -> Certificates {
        try Certificates(reading: files, offering: protocols)
    }
}
