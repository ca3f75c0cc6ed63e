// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What one loop waits for, a queue for each kind.
struct Deadlines {
    /// How long a connection that is closing listens, so that its last response isn't lost to a reset.
    private static let linger = TimeAmount.seconds(1)

    var head: DeadlineQueue<HTTP1Connection>
    /// Until the body of a message is whole.
    var body: DeadlineQueue<Exchange>
    /// Within a body.
    var idle: DeadlineQueue<HTTP1Connection>
    /// Between two requests.
    var kept: DeadlineQueue<HTTP1Connection>
    var linger = DeadlineQueue<HTTP1Connection>(duration: Self.linger)
    /// TLS handshakes under way, which end with the first head's time.
    var handshakes = HandshakeQueue()
    /// When it is looked whether clients take what is there for them.
    var stall: DeadlineQueue<HTTP1Connection>
    /// Windows in which a body has to come at its pace. A window stays as long as it was when it began.
    var pace = DeadlineQueues<Exchange>()
    private(set) var paceWindow: TimeAmount
    var response = DeadlineQueues<Exchange>()

    init(_ bounds: Snapshot.Bounds) {
        head = DeadlineQueue(duration: bounds.headerTimeout)
        body = DeadlineQueue(duration: bounds.bodyTimeout)
        idle = DeadlineQueue(duration: bounds.idleTimeout)
        kept = DeadlineQueue(duration: bounds.idleTimeout)
        stall = DeadlineQueue(duration: Self.look(bounds))
        paceWindow = bounds.stallTimeout
    }

    private static func look(_ bounds: Snapshot.Bounds) -> TimeAmount {
        .nanoseconds(max(1, bounds.stallTimeout.nanoseconds / 4))
    }

    /// Another configuration is in force.
    mutating func change(to bounds: Snapshot.Bounds, at now: NIODeadline) {
        head.change(to: bounds.headerTimeout, at: now)
        body.change(to: bounds.bodyTimeout, at: now)
        idle.change(to: bounds.idleTimeout, at: now)
        kept.change(to: bounds.idleTimeout, at: now)
        stall.change(to: Self.look(bounds), at: now)
        paceWindow = bounds.stallTimeout
    }

    /// Moves all: the time was nobody's.
    mutating func shift(by excess: TimeAmount) {
        response.shift(by: excess)
        head.shift(by: excess)
        body.shift(by: excess)
        idle.shift(by: excess)
        kept.shift(by: excess)
        linger.shift(by: excess)
        handshakes.shift(by: excess)
        stall.shift(by: excess)
        pace.shift(by: excess)
    }
}
