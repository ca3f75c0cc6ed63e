// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import MCP

/// One response of Tollgate's own: what is wrong, and what the caller is told about it.
///
/// An object, since it is long, and handed on from who finds it to who writes it. Whoever makes it completes it.
final class Refusal {
    /// Members of the problem document beside the five that all have.
    enum Members {
        case none
        /// The route that isn't there, or the method it doesn't take. At most 256 bytes of path.
        case route(path: [UInt8], method: [UInt8])
        case quota(violated: [Int], report: LimitReport)
        /// All that the key lacks.
        case scopes([String])
    }

    enum Challenge {
        case missing, invalid, scopes
    }

    var status: Int
    var detail: String
    /// The word for logs; the caller doesn't see it.
    var reason: Reason
    var members: Members = .none
    var challenge: Challenge?
    /// All that the request takes, which the challenge names.
    var scopes: [String] = []
    /// Value of Allow.
    var allow: [UInt8]?
    var retryAfterSeconds: Int64?
    /// The connection can't be kept: what follows on it has no meaning.
    var closes = false
    /// On `mcp` routes: what is refused, and how the operator wants it told; nil leaves it to `mcp.reject`.
    var occasion = Delivery.Occasion.ofOther
    var rejection: Policy.Reject?
    /// Of the JSON-RPC error; nil is status × 100, outside the range JSON-RPC reserves.
    var code: Int?

    /// What the access log has beside the word: where many rules share it, which of them was broken. Nothing of the request is
    /// in these.
    var loggedDetail: String? {
        switch reason {
        case .malformedRequest, .malformedMessage, .credentialClash, .encodedMessage: detail
        default: nil
        }
    }

    init(_ status: Int, _ detail: String, reason: Reason) {
        self.status = status
        self.detail = detail
        self.reason = reason
    }
}

extension Refusal {
    /// What a 403 repeats of a tool's name.
    private static let longestTool = 128
    /// What a 404 or 405 repeats of the caller's path.
    static let longestPath = 256

    /// The bytes are not understood, so nothing behind them is either.
    static func malformed(_ status: Int, _ detail: String) -> Refusal {
        let refusal = Refusal(status, detail, reason: .malformedRequest)
        refusal.closes = true
        return refusal
    }

    static func unknownRoute(path: [UInt8], method: [UInt8]) -> Refusal {
        let path = Array(path.prefix(longestPath))
        let refusal = Refusal(
            404, "Route '\(String(decoding: path, as: UTF8.self))' not found", reason: .unknownRoute)
        refusal.members = .route(path: path, method: method)
        return refusal
    }

    static func methodNotAllowed(path: [UInt8], method: [UInt8], allow: [UInt8]) -> Refusal {
        let refusal = Refusal(405, "Method Not Allowed", reason: .methodNotAllowed)
        refusal.members = .route(path: Array(path.prefix(longestPath)), method: method)
        refusal.allow = allow
        return refusal
    }

    /// A message within `limits.mcp_body_bytes`, but beyond what its caller may have the process hold.
    static var bodyBeyondShare: Refusal {
        let refusal = Refusal(413, "Request body takes more memory than one caller may hold", reason: .bodyTooLarge)
        refusal.closes = true
        return refusal
    }

    static func bodyTooLarge(limit: Int) -> Refusal {
        let refusal = Refusal(413, "Request body exceeds \(limit) bytes", reason: .bodyTooLarge)
        refusal.closes = true
        return refusal
    }

    /// JSON-RPC 2.0 §5.1, "Parse error".
    static func unreadableMessage(_ detail: String) -> Refusal {
        let refusal = Refusal(400, "Malformed MCP message: \(detail)", reason: .malformedMessage)
        refusal.code = -32700
        return refusal
    }

    static func encodedMessage(_ detail: String) -> Refusal {
        Refusal(415, detail, reason: .encodedMessage)
    }

    static func timedOut(_ detail: String) -> Refusal {
        let refusal = Refusal(408, detail, reason: .requestTimeout)
        refusal.closes = true
        return refusal
    }

    static func upstreamUnreachable(_ reason: Reason) -> Refusal {
        Refusal(502, "Upstream unreachable", reason: reason)
    }

    static func upstreamInvalid() -> Refusal {
        Refusal(502, "Upstream sent an invalid response", reason: .upstreamInvalid)
    }

    static func upstreamTimeout(_ reason: Reason) -> Refusal {
        Refusal(504, "Upstream too slow", reason: reason)
    }

    static func unavailable(_ detail: String, reason: Reason) -> Refusal {
        let refusal = Refusal(503, detail, reason: reason)
        refusal.retryAfterSeconds = 1
        return refusal
    }

    /// It is said before anything was asked.
    static var certificateNotAllowed: Refusal {
        let refusal = Refusal(403, "Client certificate is not allowed", reason: .certificateNotAllowed)
        refusal.closes = true
        return refusal
    }

    /// A denial of admission's in HTTP's words. The full reason stays with the log: the caller can't tell a revoked key
    /// from one that never was.
    ///
    /// - Parameter scopes: that the request takes.
    static func denied(_ denial: Denial, policies: [Policy], scopes: [String]) -> Refusal {
        let refusal = denied(denial, policies: policies)
        refusal.scopes = scopes
        return refusal
    }

    private static func denied(_ denial: Denial, policies: [Policy]) -> Refusal {
        switch denial.reason {
        case .missing:
            return unauthorized("Missing API key. Provide X-API-Key header.", .missing, reason: .missing)
        case .malformed: return unauthorized(invalidKey, .invalid, reason: .malformed)
        case .unknown: return unauthorized(invalidKey, .invalid, reason: .unknown)
        case .revoked: return unauthorized(invalidKey, .invalid, reason: .revoked)
        case .expired: return unauthorized(invalidKey, .invalid, reason: .expired)
        case .notYetValid: return unauthorized(invalidKey, .invalid, reason: .notYetValid)
        case .suspended: return unauthorized(invalidKey, .invalid, reason: .suspended)
        case .costExceedsCapacity(let policy, let cost, let capacity):
            let refusal = Refusal(
                403, "Cost \(cost) exceeds the capacity \(capacity) of policy \(policies[policy].name)",
                reason: .costExceedsCapacity)
            refusal.occasion = .forGood
            refusal.rejection = policies[policy].reject
            return refusal
        case .addressNotAllowed:
            let refusal = Refusal(403, "Address not allowed", reason: .addressNotAllowed)
            refusal.occasion = .forGood
            return refusal
        case .insufficientScope(let missing):
            let refusal = Refusal(403, "Insufficient scope", reason: .insufficientScope)
            refusal.members = .scopes(missing)
            refusal.challenge = .scopes
            refusal.occasion = .forGood
            return refusal
        case .toolNotAllowed(let tool):
            let named = tool.map { "Tool '\(String(decoding: $0.prefix(longestTool), as: UTF8.self))'" } ?? "Tool"
            let refusal = Refusal(403, "\(named) not allowed", reason: .toolNotAllowed)
            refusal.occasion = .forGood
            return refusal
        case .foreignSession:
            return Refusal(404, "Session not found", reason: .foreignSession)
        case .rateLimited(let denying):
            let refusal = Refusal(429, "Rate limit exceeded", reason: .rateLimited)
            if let report = denial.limits {
                refusal.members = .quota(violated: denying, report: report)
                refusal.retryAfterSeconds = RateLimitFields.retryAfterSeconds(report)
                refusal.rejection = policies[report.statuses[report.speaking].policy].reject
            }
            refusal.occasion = .forNow
            return refusal
        case .limiterUnavailable:
            return limiterUnavailable(.limiterUnavailable)
        case .limiterSlow:
            return limiterUnavailable(.limiterSlow)
        case .lookupBudget:
            let refusal = unavailable("Too many unknown API keys", reason: .lookupBudget)
            refusal.occasion = .forNow
            return refusal
        }
    }

    /// The caller can't do anything else about the one than about the other.
    private static func limiterUnavailable(_ reason: Reason) -> Refusal {
        let refusal = unavailable("Rate limiter unavailable", reason: reason)
        refusal.occasion = .forNow
        return refusal
    }

    /// No key came, but a bearer token that is none. It may be the handler's own and good, so the challenge goes on calling it
    /// nothing worse: an OAuth client would throw away what is invalid.
    func tellOfForeignToken() {
        detail = "Missing API key: the bearer token is no key of this gateway. Provide X-API-Key header."
        reason = .foreignToken
    }

    private static let invalidKey = "Invalid or inactive API key"

    private static func unauthorized(_ detail: String, _ challenge: Challenge, reason: Reason) -> Refusal {
        let refusal = Refusal(401, detail, reason: reason)
        refusal.challenge = challenge
        return refusal
    }
}

extension Refusal {
    /// What stands in for the handler's answer.
    static func standIn(for fault: Exchange.Fault, bodyLimit: Int) -> Refusal {
        switch fault {
        case .upstreamUnreachable: .upstreamUnreachable(.upstreamUnreachable)
        case .upstreamDoubtful(let doubt): .upstreamUnreachable(doubt.reason)
        case .upstreamClosed: .upstreamUnreachable(.upstreamClosed)
        case .upstreamConnectTimeout: .upstreamTimeout(.upstreamConnectTimeout)
        case .upstreamTimeout: .upstreamTimeout(.upstreamTimeout)
        case .upstreamInvalid: .upstreamInvalid()
        case .upstreamQueueFull: .unavailable("Too many requests under way", reason: .upstreamQueueFull)
        case .upstreamShare: .unavailable("Too many requests under way", reason: .upstreamShare)
        case .exhausted: .unavailable("Overloaded", reason: .exhausted)
        case .bodyMalformed: .malformed(400, "Malformed request body")
        case .bodyTooLarge: .bodyTooLarge(limit: bodyLimit)
        case .bodyTimeout: .timedOut("Request body not received in time")
        case .keyEnded: .unauthorized(invalidKey, .invalid, reason: .keyEnded)
        case .slotLost: .unavailable("Too many requests under way", reason: .slotLost)
        }
    }
}
