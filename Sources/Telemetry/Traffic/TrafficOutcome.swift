// SPDX-License-Identifier: Apache-2.0

/// What became of a request, as the page tells them apart; each request is one of these.
package enum TrafficOutcome: Sendable {
    case allowed
    /// By a policy: rate, quota or concurrency.
    case denied
    /// By Tollgate, for another reason.
    case refused
    /// By the handler, or for want of Redis or of room: a status of 5xx, or an answer that ended early.
    case failed
}

/// How many requests had which.
package struct TrafficOutcomes: Sendable, Equatable {
    package var allowed = 0
    package var denied = 0
    package var refused = 0
    package var failed = 0

    package init() {}

    package var total: Int { allowed + denied + refused + failed }

    mutating func count(_ outcome: TrafficOutcome) {
        switch outcome {
        case .allowed: allowed += 1
        case .denied: denied += 1
        case .refused: refused += 1
        case .failed: failed += 1
        }
    }

    static func += (sum: inout TrafficOutcomes, other: TrafficOutcomes) {
        sum.allowed += other.allowed
        sum.denied += other.denied
        sum.refused += other.refused
        sum.failed += other.failed
    }
}
