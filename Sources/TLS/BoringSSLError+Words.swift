// SPDX-License-Identifier: Apache-2.0

#if TLS
    import NIOSSL

    extension BoringSSLError {
        /// What went wrong, in BoringSSL's own word; nil where it has none.
        ///
        /// NIOSSL has no other form of its errors than their text: `error:1000007d:SSL
        /// routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at …`.
        var word: Substring? {
            guard case .sslError(let stack) = self else { return nil }
            return stack.lazy.compactMap { "\($0)".firstMatch(of: #/OPENSSL_internal:([A-Z0-9_]+)/#)?.1 }.first
        }

        /// The other side ended its connection before the handshake was through.
        var isEndOfConnection: Bool {
            if case .sslError(let stack) = self { stack.contains(.eofDuringHandshake) } else { false }
        }

        /// A word as people write it.
        static func text(_ word: Substring) -> String {
            word.replacing(#/^(?:SSLV3|TLSV1)_ALERT_/#, with: "").lowercased().replacing("_", with: " ")
        }
    }
#endif
