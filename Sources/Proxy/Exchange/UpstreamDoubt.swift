// SPDX-License-Identifier: Apache-2.0

import TLS

extension Exchange {
    /// Why no request goes to a handler by TLS, as far as whoever mends it has to tell one from the other.
    enum UpstreamDoubt: Sendable, Equatable {
        /// Nobody that we trust has signed its certificate.
        case untrusted
        /// Its certificate is not of this time.
        case expired
        case otherName
        /// It wants a certificate of ours, or another one.
        case wantsCertificate
        /// It doesn't speak TLS, or none that we speak.
        case noTLS

        init(_ failure: TLSFailure) {
            switch failure {
            case .untrusted: self = .untrusted
            case .expired, .notYetValid: self = .expired
            case .otherName: self = .otherName
            case .wantsCertificate, .refusesCertificate: self = .wantsCertificate
            case .declined, .notTLS, .other: self = .noTLS
            }
        }

        var reason: Reason {
            switch self {
            case .untrusted: .upstreamUntrusted
            case .expired: .upstreamExpired
            case .otherName: .upstreamOtherName
            case .wantsCertificate: .upstreamWantsCertificate
            case .noTLS: .upstreamTLS
            }
        }
    }
}
