// SPDX-License-Identifier: Apache-2.0

/// Why a client and we don't come to speak TLS, as far as whoever mends it has to tell one from the other.
package enum FailedHandshake: Int, Sendable, CaseIterable {
    /// It speaks something else, HTTP for one.
    case notTLS
    /// It speaks older versions alone.
    case version
    /// No cipher, group or signature that both have.
    case nothingInCommon
    /// It shows no certificate, which it has to.
    case certificateMissing
    /// Nobody that we trust has signed its certificate, or it is none for now.
    case certificateRefused
    /// Its certificate is good, and its name isn't one that is let in.
    case nameRefused
    /// It takes our certificate for no good, or says no in another way.
    case refusedByClient
    /// It took longer than a head may.
    case timedOut
    /// It has left.
    case closed
    /// Others were to have the room.
    case crowdedOut
    case other
}

extension FailedHandshake: CustomStringConvertible {
    /// The word for logs and metrics.
    package var description: String {
        switch self {
        case .notTLS: "not_tls"
        case .version: "version"
        case .nothingInCommon: "nothing_in_common"
        case .certificateMissing: "certificate_missing"
        case .certificateRefused: "certificate_refused"
        case .nameRefused: "name_refused"
        case .refusedByClient: "refused_by_client"
        case .timedOut: "timeout"
        case .closed: "closed"
        case .crowdedOut: "crowded_out"
        case .other: "other"
        }
    }
}
