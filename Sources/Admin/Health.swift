// SPDX-License-Identifier: Apache-2.0

/// Whether requests should be sent to this sidecar.
package enum Readiness: String, Sendable, Equatable, CaseIterable {
    case ready
    /// The listeners aren't open yet.
    case starting
    /// A loop has no usable Redis connection. What is served without Redis still is.
    case redisUnavailable = "redis unavailable"
    /// Told to end: finishing what is under way.
    case draining
}

/// What the admin address tells of the process.
package struct Health: Sendable {
    /// Asked for each `/readyz`.
    package var readiness: @Sendable () async -> Readiness

    package init(readiness: @escaping @Sendable () async -> Readiness) {
        self.readiness = readiness
    }
}
