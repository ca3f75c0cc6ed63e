// SPDX-License-Identifier: Apache-2.0

/// A server, as messages about TLS with it name it.
package struct SecuredServer: Sendable, Hashable {
    /// By which settings it is spoken to.
    package struct Words: Sendable, Hashable {
        /// That of TLS: `redis.tls`.
        let section: String
        /// What to ask where something answers, but not by TLS.
        let question: String

        package init(section: String, question: String) {
            self.section = section
            self.question = question
        }
    }

    /// `host:port`
    package let address: String
    /// What its certificate has to name.
    let name: String
    let files: CertificateFiles
    let words: Words

    package init(address: String, name: String, files: CertificateFiles, words: Words) {
        self.address = address
        self.name = name
        self.files = files
        self.words = words
    }

    /// Nothing of ours was shown to it.
    package var mayMissCertificate: Bool { files.identity == nil }

    /// What to ask where it may miss something.
    var doubt: String {
        mayMissCertificate ? "; does it want a client certificate (\(words.section).certificate)?" : ""
    }
}

/// There is no TLS with a server: why, and what to do about it.
package struct Insecurity: Error, Sendable, Hashable {
    package let failure: TLSFailure
    private let server: SecuredServer

    package init(_ failure: TLSFailure, with server: SecuredServer) {
        self.failure = failure
        self.server = server
    }
}

extension Insecurity: CustomStringConvertible {
    package var description: String {
        let (address, section) = (server.address, server.words.section)
        return switch failure {
        case .untrusted:
            "the certificate of \(address) isn't signed by "
                + (server.files.authorities == nil
                    ? "an authority that the system trusts (\(section).ca)" : "\(section).ca")
        case .expired: "the certificate of \(address) has expired"
        case .notYetValid: "the certificate of \(address) isn't valid yet; is the clock right?"
        case .otherName:
            "the certificate of \(address) is for other names than \(server.name) (\(section).server_name)"
        case .wantsCertificate: "\(address) wants a client certificate (\(section).certificate)"
        case .refusesCertificate(let reason):
            "\(address) refuses the client certificate (\(section).certificate): \(reason)"
        case .declined: "\(address) declines TLS" + server.doubt
        case .notTLS: "\(address) doesn't speak TLS there: \(server.words.question)"
        case .other(let reason): "no TLS with \(address): \(reason)"
        }
    }
}
