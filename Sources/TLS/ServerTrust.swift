// SPDX-License-Identifier: Apache-2.0

/// What TLS to a server goes by: its certificate is always verified.
package struct ServerTrust: Sendable, Hashable {
    /// What it has to name where that isn't the host.
    package var serverName: String?
    package var files: CertificateFiles
    /// What was read from the files; nil where the configuration is only looked at.
    package var certificates: Certificates?

    package init(
        serverName: String? = nil, files: CertificateFiles = CertificateFiles(), certificates: Certificates? = nil
    ) {
        self.serverName = serverName
        self.files = files
        self.certificates = certificates
    }
}
