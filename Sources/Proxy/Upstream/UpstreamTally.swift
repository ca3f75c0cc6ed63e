// SPDX-License-Identifier: Apache-2.0

/// A handler's connections by what they do. Those that carry a stream, or wait without a bound, count in none.
package struct UpstreamTally: Sendable, Equatable {
    package var idle = 0
    package var connecting = 0
    /// Carrying a request.
    package var busy = 0

    package static func + (one: UpstreamTally, other: UpstreamTally) -> UpstreamTally {
        UpstreamTally(
            idle: one.idle + other.idle, connecting: one.connecting + other.connecting, busy: one.busy + other.busy)
    }
}
