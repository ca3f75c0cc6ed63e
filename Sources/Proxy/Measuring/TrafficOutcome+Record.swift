// SPDX-License-Identifier: Apache-2.0

import Telemetry

extension Reason {
    /// Whose doing it is that a request ended so.
    enum Concern {
        /// A policy had no room.
        case policy
        /// Tollgate refuses what was asked, or who asks.
        case request
        /// There is nobody to count, or no room, or a stream that had begun was ended.
        case sidecar
        case handler
        /// The client left, or nothing was refused: the answer's status tells all.
        case nobody
    }

    var concern: Concern {
        switch self {
        case .rateLimited: .policy
        case .missing, .malformed, .unknown, .revoked, .expired, .notYetValid, .suspended, .foreignToken,
            .credentialClash, .certificateNotAllowed, .addressNotAllowed, .insufficientScope, .toolNotAllowed,
            .costExceedsCapacity, .foreignSession, .lookupBudget, .malformedRequest, .unknownRoute, .methodNotAllowed,
            .bodyTooLarge, .malformedMessage, .encodedMessage, .requestTimeout, .hostNotAllowed, .originNotAllowed:
            .request
        case .limiterUnavailable, .limiterSlow, .routesUnknown, .connectionLimit, .connectionShare, .heldBodies,
            .exhausted, .upstreamQueueFull, .upstreamShare, .keyEnded, .slotLost:
            .sidecar
        case .upstreamUnreachable, .upstreamClosed, .upstreamConnectTimeout, .upstreamTimeout, .upstreamInvalid,
            .upstreamTruncated, .upstreamUntrusted, .upstreamExpired, .upstreamOtherName, .upstreamWantsCertificate,
            .upstreamTLS:
            .handler
        case .clientClosed, .clientStalled, .preflight, .resourceMetadata: .nobody
        }
    }
}

extension TrafficOutcome {
    /// - Parameter status: that was meant; nil where no answer was begun.
    init(_ status: Int?, _ reason: Reason?) {
        switch reason?.concern {
        case .policy: self = .denied
        case .handler: self = .failed
        case .request, .sidecar: self = status.map { $0 >= 500 } == true ? .failed : .refused
        case .nobody, nil: self = status.map { $0 >= 500 } == true ? .failed : .allowed
        }
    }
}
