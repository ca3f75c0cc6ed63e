// SPDX-License-Identifier: Apache-2.0

package import NIOCore

#if TLS
    import NIOSSL

    /// TLS on one connection that was accepted: the handler for the front of its pipeline, and what became of the handshake.
    ///
    /// It lives on the connection's loop.
    package final class TLSServer {
        private let ssl: NIOSSLServerHandler

        init(_ context: NIOSSLContext) {
            ssl = NIOSSLServerHandler(context: context)
        }

        /// Begins the handshake when the connection is there, reads for itself, and lets nothing through before it is over.
        package var handler: any ChannelHandler { ssl }
        /// That one, and what stands right behind it.
        package var handlers: [any ChannelHandler] { [ssl, RecordSlices()] }

        /// Whose certificate the client has shown, once the handshake is through; nil where it has none, or one without a name
        /// that a field can have.
        package var clientName: [UInt8]? {
            guard let certificate = ssl.peerCertificate else { return nil }
            var names = CertificateNames()
            for name in certificate._subjectAlternativeNames() {
                switch name.nameType {
                case .uri: names.uris.append(Array(name.contents))
                case .dnsName: names.hosts.append(Array(name.contents))
                case .email: names.mailboxes.append(Array(name.contents))
                default: break
                }
            }
            do {
                names.commonName = CommonName.of(certificate: try certificate.toDERBytes())
            } catch {
                // One that can't be written again has no name for us.
            }
            return names.name
        }

        /// When the client's certificate ends, in seconds since 1970. Who resumes a session shows none, and is known by the one of
        /// that time.
        package var certificateEnd: Int? {
            ssl.peerCertificate.map { Int($0.notValidAfter) }
        }

        /// - Returns: nil where it is about the connection alone, and not about the handshake.
        package static func failure(_ error: any Error) -> (FailedHandshake, text: String)? {
            switch error {
            case NIOSSLError.handshakeFailed(let error), let error as BoringSSLError: failure(of: error)
            case NIOSSLError.unableToValidateCertificate: (.certificateRefused, "\(error)")
            default: nil
            }
        }

        private static func failure(of error: BoringSSLError) -> (FailedHandshake, text: String) {
            guard !error.isEndOfConnection else { return (.closed, "the client has left") }
            guard let word = error.word else { return (.other, "\(error)") }
            // In TLS 1.3 OpenSSL says so before it encrypts, where BoringSSL waits for a longer record that is encrypted.
            guard word != "BAD_PACKET_LENGTH" else { return (.refusedByClient, "an alert that is not encrypted") }
            return (failure(word), BoringSSLError.text(word))
        }

        private static func failure(_ word: Substring) -> FailedHandshake {
            switch word {
            case "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "INVALID_OUTER_RECORD_TYPE",
                "UNEXPECTED_RECORD":
                .notTLS
            case "UNSUPPORTED_PROTOCOL", "UNSUPPORTED_PROTOCOL_FOR_CUSTOM_KEY": .version
            case "NO_SHARED_CIPHER", "NO_SHARED_GROUP", "NO_COMMON_SIGNATURE_ALGORITHMS", "NO_CIPHERS_SPECIFIED",
                "WRONG_CURVE":
                .nothingInCommon
            case "PEER_DID_NOT_RETURN_A_CERTIFICATE": .certificateMissing
            case "CERTIFICATE_VERIFY_FAILED": .certificateRefused
            case let word where word.hasPrefix("SSLV3_ALERT_") || word.hasPrefix("TLSV1_ALERT_"): .refusedByClient
            default: .other
            }
        }
    }
#else
    /// There is none in a build without TLS.
    package final class TLSServer {
        package let handler: any ChannelHandler
        package var handlers: [any ChannelHandler] { [handler] }
        package var clientName: [UInt8]? { nil }
        package var certificateEnd: Int? { nil }

        private init(_ handler: any ChannelHandler) {
            self.handler = handler
        }

        package static func failure(_ error: any Error) -> (FailedHandshake, text: String)? { nil }
    }
#endif
