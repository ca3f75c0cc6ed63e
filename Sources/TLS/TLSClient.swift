// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOTLS

#if TLS
    import LibC
    import NIOSSL

    /// TLS on one connection to a server: the handler for the front of its pipeline, and what became of the handshake.
    ///
    /// It lives on the connection's loop.
    package final class TLSClient {
        private let ssl: NIOSSLClientHandler
        /// Nil where an address is meant.
        private let host: String?

        /// - Parameter host: as the server's certificate has to name it; nil where it has to name the address.
        init(_ context: NIOSSLContext, host: String?) throws {
            ssl = try NIOSSLClientHandler(context: context, serverHostname: host)
            self.host = host
        }

        /// The first begins the handshake when the connection is there. Nothing may be sent before it is through and ``vouch()``
        /// has looked at it.
        package var handlers: [any ChannelHandler] { [ssl, RecordSlices()] }

        /// Looks once more who it is when the handshake is through.
        ///
        /// NIOSSL also takes a certificate that names the address which the connection leads to, whatever host it was told. Who
        /// changes what a name leads to has such a certificate for an address of his own.
        package func vouch() -> TLSFailure? {
            guard let host else { return nil }
            guard let certificate = ssl.peerCertificate else { return .untrusted }
            let names = certificate._subjectAlternativeNames()
            // Where there is none NIOSSL takes the common name, which says nothing of what it is for (RFC 9525 §2).
            return names.contains { $0.nameType == .dnsName && HostName.fits($0.contents, host) } ? nil : .otherName
        }

        /// - Returns: nil where nothing is wrong but that the connection ended.
        package func failure(_ error: any Error) -> TLSFailure? {
            switch error {
            case let error as NIOSSLExtraError:
                let isOfName = error == .failedToValidateHostname || error == .serverHostnameImpossibleToMatch
                return isOfName ? .otherName : .other("\(error)")
            case NIOSSLError.unableToValidateCertificate, NIOSSLError.cannotMatchULabel: return .otherName
            case NIOSSLError.handshakeFailed(let error), let error as BoringSSLError: return failure(of: error)
            case NIOSSLError.uncleanShutdown, NIOSSLError.shutdownFailed: return nil
            case is NIOSSLError: return .other("\(error)")
            default: return nil
            }
        }

        private func failure(of error: BoringSSLError) -> TLSFailure? {
            guard case .sslError = error, !error.isEndOfConnection else { return nil }
            guard let word = error.word else { return .other("\(error)") }
            switch word {
            case "CERTIFICATE_VERIFY_FAILED": return flawOfCertificate
            case "TLSV1_ALERT_CERTIFICATE_REQUIRED": return .wantsCertificate
            case "SSLV3_ALERT_HANDSHAKE_FAILURE": return .declined
            case "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "INVALID_OUTER_RECORD_TYPE",
                "UNEXPECTED_RECORD":
                return .notTLS
            case let word where Self.refusals.contains(String(word)):
                return .refusesCertificate(BoringSSLError.text(word))
            default: return .other(BoringSSLError.text(word))
            }
        }

        /// Alerts about a certificate that a server was sent (RFC 8446 §6.2).
        private static let refusals: Set = [
            "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "TLSV1_ALERT_UNKNOWN_CA",
            "TLSV1_ALERT_ACCESS_DENIED",
        ]

        /// BoringSSL says that it doesn't trust a certificate, and NIOSSL not why: its dates tell one case.
        private var flawOfCertificate: TLSFailure {
            guard let certificate = ssl.peerCertificate else { return .untrusted }
            let now = time(nil)
            if certificate.notValidAfter < now { return .expired }
            return certificate.notValidBefore > now ? .notYetValid : .untrusted
        }
    }
#else
    /// There is none in a build without TLS.
    package final class TLSClient {
        package let handlers: [any ChannelHandler]

        private init(_ handlers: [any ChannelHandler]) {
            self.handlers = handlers
        }

        package func vouch() -> TLSFailure? { .notTLS }

        package func failure(_ error: any Error) -> TLSFailure? { nil }
    }
#endif

extension TLSClient {
    /// Whether an event of the pipeline says that the handshake is through.
    package static func isHandshake(_ event: Any) -> Bool {
        if case .handshakeCompleted? = event as? TLSUserEvent { true } else { false }
    }
}
