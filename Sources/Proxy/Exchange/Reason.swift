// SPDX-License-Identifier: Apache-2.0

/// Why a request was answered as it was, where that wasn't the handler's own answer: the words of the access log, and of
/// `tollgate_refusals_total`. Callers don't see them.
package enum Reason: Int, Sendable, CaseIterable, CustomStringConvertible {
    // The credential.
    case missing, malformed, unknown, revoked, expired, notYetValid, suspended, foreignToken, credentialClash
    // What its caller may do.
    case certificateNotAllowed
    case addressNotAllowed, insufficientScope, toolNotAllowed, costExceedsCapacity, foreignSession
    // Limits, and what counts them.
    case rateLimited, limiterUnavailable, limiterSlow, lookupBudget
    // What was asked.
    case malformedRequest, unknownRoute, routesUnknown, methodNotAllowed, bodyTooLarge, malformedMessage, encodedMessage
    case requestTimeout, hostNotAllowed, originNotAllowed
    // Room in this process.
    case connectionLimit, connectionShare, heldBodies, exhausted
    // The handler.
    case upstreamUnreachable, upstreamClosed, upstreamConnectTimeout, upstreamTimeout, upstreamInvalid
    case upstreamQueueFull, upstreamShare, upstreamTruncated
    case upstreamUntrusted, upstreamExpired, upstreamOtherName, upstreamWantsCertificate, upstreamTLS
    // A stream that ended early.
    case keyEnded, slotLost
    // The client.
    case clientClosed, clientStalled
    // Answers of Tollgate's own that refuse nothing.
    case preflight, resourceMetadata

    package var description: String { word.description }

    package var word: StaticString {
        switch self {
        case .missing: "missing"
        case .malformed: "malformed"
        case .unknown: "unknown"
        case .revoked: "revoked"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .suspended: "suspended"
        case .foreignToken: "foreign_token"
        case .credentialClash: "credential_clash"
        case .addressNotAllowed: "address_not_allowed"
        case .certificateNotAllowed: "certificate_not_allowed"
        case .insufficientScope: "insufficient_scope"
        case .toolNotAllowed: "tool_not_allowed"
        case .costExceedsCapacity: "cost_exceeds_capacity"
        case .foreignSession: "foreign_session"
        case .rateLimited: "rate_limited"
        case .limiterUnavailable: "limiter_unavailable"
        case .limiterSlow: "limiter_slow"
        case .lookupBudget: "lookup_budget"
        case .malformedRequest: "malformed_request"
        case .unknownRoute: "unknown_route"
        case .routesUnknown: "routes_unknown"
        case .methodNotAllowed: "method_not_allowed"
        case .bodyTooLarge: "body_too_large"
        case .malformedMessage: "malformed_message"
        case .encodedMessage: "encoded_message"
        case .requestTimeout: "request_timeout"
        case .hostNotAllowed: "host_not_allowed"
        case .originNotAllowed: "origin_not_allowed"
        case .connectionLimit: "connection_limit"
        case .connectionShare: "connection_share"
        case .heldBodies: "held_bodies"
        case .exhausted: "exhausted"
        case .upstreamUnreachable: "upstream_unreachable"
        case .upstreamClosed: "upstream_closed"
        case .upstreamConnectTimeout: "upstream_connect_timeout"
        case .upstreamTimeout: "upstream_timeout"
        case .upstreamInvalid: "upstream_invalid"
        case .upstreamQueueFull: "upstream_queue_full"
        case .upstreamShare: "upstream_share"
        case .upstreamTruncated: "upstream_truncated"
        case .upstreamUntrusted: "upstream_untrusted"
        case .upstreamExpired: "upstream_expired"
        case .upstreamOtherName: "upstream_other_name"
        case .upstreamWantsCertificate: "upstream_wants_certificate"
        case .upstreamTLS: "upstream_tls"
        case .keyEnded: "key_ended"
        case .slotLost: "slot_lost"
        case .clientClosed: "client_closed"
        case .clientStalled: "client_stalled"
        case .preflight: "preflight"
        case .resourceMetadata: "resource_metadata"
        }
    }
}
