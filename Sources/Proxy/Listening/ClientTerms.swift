// SPDX-License-Identifier: Apache-2.0

import Settings
import Synchronization
import TLS

/// Which clients a listener lets in by their certificates, for as long as it does. Whoever was let in knows by it that he
/// would not be any more. Whatever else of the listener changes meanwhile, it is the same one.
final class ClientTerms: Sendable {
    private let certificates: ServerCertificates
    private let allowedSubjects: Set<String>?
    private let hasEnded = Atomic(false)

    /// Nil where no client is asked for a certificate.
    init?(_ tls: Settings.ListenTLS?) {
        guard let tls, tls.files.clientAuthorities != nil, let certificates = tls.certificates else { return nil }
        self.certificates = certificates
        allowedSubjects = tls.allowedSubjects
    }

    var isOver: Bool { hasEnded.load(ordering: .relaxed) }

    func end() {
        hasEnded.store(true, ordering: .relaxed)
    }
}

extension ClientTerms: Equatable {
    /// Of what is in the files that counts which says whom they let in.
    static func == (one: ClientTerms, other: ClientTerms) -> Bool {
        one.allowedSubjects == other.allowedSubjects && one.certificates.takesClients(of: other.certificates)
    }
}
