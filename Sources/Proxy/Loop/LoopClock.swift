// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A loop's clock, of which there is one: whatever has to do with time on that loop is told it, or asks here.
final class LoopClock {
    private let source: () -> NIODeadline
    /// As it was last read: by the tick, and where a request begins, is asked about and is answered. What is armed in such
    /// a turn is armed by the time it is, and in any other turn at most a tick too early: a second where the loop rests.
    private(set) var now: NIODeadline

    /// - Parameter source: what the time is; tests have one of their own.
    init(_ source: @escaping () -> NIODeadline = NIODeadline.now) {
        self.source = source
        now = source()
    }

    func read() -> NIODeadline {
        now = source()
        return now
    }
}
