// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Notices a tick that comes late, because the process or its machine stood still. Nobody else is to blame for that time, and
/// what came meanwhile lies unread in the sockets: all deadlines move by it once, and are looked at one tick later.
///
/// Whoever has deadlines judges by one of its own. Those of one loop look at the same tick one after the other: a loop, its
/// gate, and the gate's connection.
///
/// Time in which the loop worked is its callers' time, however late the tick: else whoever keeps it busy stretches the deadlines
/// of all.
package struct TickPace {
    package static let interval = TimeAmount.milliseconds(10)
    /// So long may a thread wait for its turn on a machine that is well.
    private static let tolerance = TimeAmount.milliseconds(25)

    private var last: (at: NIODeadline, worked: TimeAmount)?
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

    /// Nobody waits for anything: the next tick comes when it comes, and is not late.
    package mutating func rest() {
        (last, isReading) = (nil, false)
    }

    /// - Parameter worked: for how long its thread has had a processor, since whenever.
    package mutating func tick(at now: NIODeadline, having worked: TimeAmount = .workedByThisThread) -> Tick {
        defer { last = (now, worked) }
        let excess = last.map { now - $0.at - (worked - $0.worked) - Self.interval } ?? .zero
        let isLate = excess > Self.tolerance
        isReading = isLate && !isReading
        return Tick(excess: isLate ? excess : .zero, expires: !isReading)
    }
}
