// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import Telemetry

/// What one loop's dealings with Redis have come to since they began.
package struct RedisTraffic: Sendable, Hashable {
    /// Connections that were made and passed their check.
    package var connects = 0
    /// Decisions that ran out of time.
    package var timeouts = 0
    /// Corrections of what requests were charged that weren't made, or perhaps not.
    package var correctionsLost = 0
    /// From a question that a request waits for to its answer; what was given up is none.
    package var durations = Histogram(.ofParts)

    package init() {}

    /// The first connection is none that was made again.
    package var reconnects: Int { max(0, connects - 1) }

    package static func += (sum: inout RedisTraffic, other: RedisTraffic) {
        sum.connects += other.connects
        sum.timeouts += other.timeouts
        sum.correctionsLost += other.correctionsLost
        sum.durations += other.durations
    }
}
