// SPDX-License-Identifier: Apache-2.0

package import Octets

/// Whether requests should be sent to this sidecar.
package enum Readiness: Sendable, Equatable {
    case ready
    /// The listeners aren't open yet.
    case starting
    /// A loop doesn't answer. What comes to the others is served.
    case loopsUnheard(Cause)
    /// A loop has no Redis that it can use. What is served without Redis still is.
    case redisUnavailable(Cause)
    /// The same, and requests are served without it, as `on_failure` has it. Or they are served as they should be, by a
    /// Redis that will lose data one day.
    case degraded(Cause)
    /// Nobody knows where the handler is.
    case upstreamUnresolved(Cause)
    /// The document that tells the routes was not read yet. What is listed is served.
    case routesUnknown(Cause)
    /// Told to end: finishing what is under way.
    case draining

    /// In one word or two.
    package var status: String {
        switch self {
        case .ready: "ready"
        case .starting: "starting"
        case .loopsUnheard: "loops unresponsive"
        case .redisUnavailable: "redis unavailable"
        case .degraded: "degraded"
        case .upstreamUnresolved: "upstream unresolved"
        case .routesUnknown: "routes unknown"
        case .draining: "draining"
        }
    }

    package var cause: Cause? {
        switch self {
        case .loopsUnheard(let cause), .redisUnavailable(let cause), .degraded(let cause),
            .upstreamUnresolved(let cause),
            .routesUnknown(let cause):
            cause
        case .ready, .starting, .draining: nil
        }
    }

    /// Requests are welcome.
    var isOpen: Bool {
        switch self {
        case .ready, .degraded: true
        case .starting, .loopsUnheard, .redisUnavailable, .upstreamUnresolved, .routesUnknown, .draining: false
        }
    }

    /// What to look at, for programs and for people. Constants and numbers, so no secret is told.
    package struct Cause: Sendable, Equatable {
        package var reason: String
        package var detail: String
        /// Nil where nobody knows.
        package var since: WallTime?

        package init(_ reason: String, _ detail: String, since: WallTime? = nil) {
            self.reason = reason
            self.detail = detail
            self.since = since
        }
    }
}
