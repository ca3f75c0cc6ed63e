// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A loop's connections whose TLS handshake is under way, the oldest first. One that comes when there are as many as may be
/// takes the place of the oldest: whoever means it needs a few round trips, and who only takes up room is there for longest.
struct HandshakeQueue {
    typealias Token = DeadlineQueue<HTTP1Connection>.Token

    /// Under way for longer than others: it goes when there is no room for a connection.
    private static let patience = TimeAmount.seconds(1)
    /// That a loop may have, whatever its share is.
    static let fewest = 16

    private var queue = DeadlineQueue<HTTP1Connection>(duration: Self.patience)
    private(set) var count = 0

    mutating func enter(_ connection: HTTP1Connection, at now: NIODeadline) -> Token {
        count += 1
        return queue.arm(connection, at: now)
    }

    mutating func leave(_ token: Token) {
        count -= 1
        queue.cancel(token)
    }

    /// Takes out the oldest.
    mutating func popOldest() -> HTTP1Connection? {
        counted(queue.popFirst())
    }

    /// Takes out the oldest, if it has been under way for long.
    mutating func popSlow(at now: NIODeadline) -> HTTP1Connection? {
        counted(queue.popExpired(at: now))
    }

    private mutating func counted(_ connection: HTTP1Connection?) -> HTTP1Connection? {
        if connection != nil { count -= 1 }
        return connection
    }

    /// Moves all: the time was nobody's.
    mutating func shift(by excess: TimeAmount) {
        queue.shift(by: excess)
    }
}
