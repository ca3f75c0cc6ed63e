// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Notices a tick that comes late, because the process or its machine stood still. Nobody else is to blame for that time, and
/// what came meanwhile lies unread in the sockets: all deadlines move by it once, and are looked at one tick later.
///
/// Whoever has deadlines judges by one of its own. Those of one loop agree because one tick hands them the same `now`, each
/// once: a shard its gate, and a gate its connection.
package struct TickPace {
    package static let interval = TimeAmount.milliseconds(10)
    /// A loop that is merely busy is less late.
    private static let tolerance = TimeAmount.milliseconds(25)

    private var last: NIODeadline?
    private var isReading = false

    package init() {}

    /// What a tick is to do.
    package struct Tick: Equatable {
        /// By how much deadlines move; zero where it is in time.
        package let excess: TimeAmount
        /// Whether what is out of time then ends. Never false twice in a row, so that time goes on however often it stands
        /// still.
        package let expires: Bool
    }

    package mutating func tick(at now: NIODeadline) -> Tick {
        defer { last = now }
        let excess = last.map { now - $0 - Self.interval } ?? .zero
        let isLate = excess > Self.tolerance
        isReading = isLate && !isReading
        return Tick(excess: isLate ? excess : .zero, expires: !isReading)
    }
}
