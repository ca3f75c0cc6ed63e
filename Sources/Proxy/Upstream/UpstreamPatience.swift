// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The time that one connection has to be made in. The connector looks at it: NIO's own timers go on while the process stands
/// still, and may come before what the sockets have brought meanwhile.
final class UpstreamPatience {
    /// As of its connector, whose clock stands still with the process.
    let deadline: NIODeadline
    let time: TimeAmount
    private(set) var isOver = false
    private var end: (() -> Void)?

    init(_ time: TimeAmount, until deadline: NIODeadline) {
        self.time = time
        self.deadline = deadline
    }

    /// Has `end` done when the time is over, in place of what was to be done so far.
    func whenOver(_ end: @escaping () -> Void) {
        if isOver { end() } else { self.end = end }
    }

    func runOut() {
        isOver = true
        end.take()?()
    }

    /// It has come to a connection, or to nothing.
    func settle() {
        end = nil
    }

    /// Why there is no connection, where its channel says `error`.
    func reason(_ error: any Error) -> any Error {
        isOver && error is ChannelError ? ChannelError.connectTimeout(time) : error
    }
}
