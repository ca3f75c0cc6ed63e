// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// Whether a loop rests: without a client there is nothing that a tick would end in time, so ticks may be far apart, but for
/// what the gate and the log still have to do.
struct Rest {
    /// Of a loop that rests.
    static let interval = TimeAmount.seconds(1)
    /// How long nobody has been connected before it does.
    static let delay = TimeAmount.seconds(5)

    private(set) var isResting = false
    /// When somebody was connected last, as far as was told.
    private var occupiedAt: NIODeadline

    init(at now: NIODeadline) {
        occupiedAt = now
    }

    var interval: TimeAmount { isResting ? Self.interval : TickPace.interval }

    /// Somebody is connected, or was until now.
    mutating func isOccupied(at now: NIODeadline) {
        occupiedAt = now
    }

    /// To be called at each tick.
    ///
    /// - Parameter hasNothingToDo: the gate and the log.
    mutating func tick(at now: NIODeadline, hasNothingToDo: @autoclosure () -> Bool) {
        isResting = now - occupiedAt >= Self.delay && hasNothingToDo()
    }

    /// Somebody comes.
    mutating func end(at now: NIODeadline) {
        (isResting, occupiedAt) = (false, now)
    }
}
