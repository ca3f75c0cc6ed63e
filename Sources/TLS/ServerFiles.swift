// SPDX-License-Identifier: Apache-2.0

/// The files, all of them PEM, that a listener goes by: who it says it is, and whose clients it takes.
package struct ServerFiles: Sendable, Hashable {
    /// At least one. The first is for every name that no other has, and for whoever asks for none.
    package var identities: [CertificateFiles.Identity]
    /// Of certificates of authorities, one of which has to have signed that of a client; nil: no client is asked for one.
    package var clientAuthorities: String?

    package init(identities: [CertificateFiles.Identity], clientAuthorities: String? = nil) {
        self.identities = identities
        self.clientAuthorities = clientAuthorities
    }
}

extension ServerFiles {
    /// All of them, each once.
    package var paths: [String] {
        var paths: [String] = []
        for path in identities.flatMap({ [$0.certificate, $0.key] }) + [clientAuthorities].compactMap(\.self)
        where !paths.contains(path) {
            paths.append(path)
        }
        return paths
    }

    /// What changes when one of them does, whichever way it is changed.
    package var stamps: [FileStamp?] { paths.map { FileStamp(of: $0) } }
}

extension ServerFiles: CustomStringConvertible {
    package var description: String { paths.joined(separator: ", ") }
}
