// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Deadlines of a few durations on one loop, as a configuration has them: a queue each.
struct DeadlineQueues<Owner: AnyObject> {
    /// As of ``DeadlineQueue``.
    struct Token: Equatable {
        fileprivate let queue: Int
        fileprivate let token: DeadlineQueue<Owner>.Token
    }

    private var queues: [DeadlineQueue<Owner>] = []

    /// A duration that is new stays.
    mutating func arm(_ owner: Owner, for duration: TimeAmount, at now: NIODeadline) -> Token {
        let queue = queues.firstIndex { $0.duration == duration } ?? queues.endIndex
        if queue == queues.endIndex { queues.append(DeadlineQueue(duration: duration)) }
        return Token(queue: queue, token: queues[queue].arm(owner, at: now))
    }

    mutating func cancel(_ token: Token) {
        queues[token.queue].cancel(token.token)
    }

    mutating func shift(by excess: TimeAmount) {
        for queue in queues.indices { queues[queue].shift(by: excess) }
    }

    /// One of the queue that has one at all; in their order, which is nobody's.
    mutating func popExpired(at now: NIODeadline) -> Owner? {
        for queue in queues.indices {
            if let owner = queues[queue].popExpired(at: now) { return owner }
        }
        return nil
    }
}
