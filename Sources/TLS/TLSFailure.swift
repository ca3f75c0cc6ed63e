// SPDX-License-Identifier: Apache-2.0

/// Why a server and we don't come to speak TLS, as far as whoever mends it has to tell one from the other.
package enum TLSFailure: Error, Sendable, Hashable {
    /// No authority that we trust has signed its certificate.
    case untrusted
    case expired
    case notYetValid
    /// Its certificate names others.
    case otherName
    /// It asks for a certificate of ours, and gets none.
    case wantsCertificate
    /// It takes our certificate for no good, in its own word: `unknown ca`.
    case refusesCertificate(String)
    /// It declines, and says no more: in TLS 1.2 for want of a certificate of ours, or of a cipher that both have.
    case declined
    /// It answers, but not by TLS.
    case notTLS
    /// In words of the library.
    case other(String)
}
