// SPDX-License-Identifier: Apache-2.0

import Settings
import TLS

/// How connections begin that were accepted by an entry of `listen` with more than an address. It is immutable: a reload makes
/// another one, and who is connected stays with the one that he came by.
final class Entrance: Sendable {
    let opening: Settings.Listen.Opening
    /// Value of Strict-Transport-Security (RFC 6797 §6.1), for all answers; nil: it isn't said.
    let strictTransport: [UInt8]?
    /// Nil where no client is asked for a certificate.
    let clients: ClientTerms?
    private let certificates: ServerCertificates?

    /// Nil where a connection begins with its first request.
    ///
    /// - Parameter former: of the same listener: if both take the same clients, those stay.
    init?(_ opening: Settings.Listen.Opening, after former: Entrance? = nil) {
        guard opening != Settings.Listen.Opening() else { return nil }
        self.opening = opening
        certificates = opening.tls.map { tls in
            guard let certificates = tls.certificates else {
                preconditionFailure("Whoever is to listen has read its certificates")
            }
            return certificates
        }
        let clients = ClientTerms(opening.tls)
        self.clients = clients == former?.clients ? former?.clients : clients
        strictTransport = opening.tls?.strictTransport.map { Array("max-age=\($0.components.seconds)".utf8) }
    }

    /// TLS for a connection that came by it, on its loop; nil where it has none.
    func security() -> ConnectionSecurity? {
        certificates.map { ConnectionSecurity($0.server(), from: self) }
    }
}
