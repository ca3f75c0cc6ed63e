// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The commands of one connection that have no reply yet, oldest first.
///
/// - Replies are positional: each belongs to the oldest command without one.
/// - A command whose caller has stopped waiting therefore keeps its slot until its reply has come.
struct ReplyQueue {
    typealias Completion = (Result<RedisReply, RedisError>) -> Void
    typealias Late = (RedisReply) -> Void

    /// An object: it is long, and a queue copies what is put in and taken out.
    final class Slot {
        /// Nil once the caller has been answered.
        private var completion: Completion?
        fileprivate(set) var deadline: NIODeadline
        fileprivate(set) var sentAt: NIODeadline
        /// What is done about NOSCRIPT; nil for what is no call of a script.
        let recourse: Recourse?
        /// Told a reply that comes when its caller has been answered.
        let late: Late?

        init(
            _ completion: @escaping Completion, deadline: NIODeadline, sentAt: NIODeadline,
            else recourse: Recourse? = nil, late: Late? = nil
        ) {
            self.completion = completion
            self.deadline = deadline
            self.sentAt = sentAt
            self.recourse = recourse
            self.late = late
        }

        fileprivate var isWaitedFor: Bool { completion != nil }

        /// Gives out the caller, who is about to be answered; nil where that was done before.
        func end() -> Completion? { completion.take() }
    }

    /// A script's call that the server may refuse for want of the script. It wasn't carried out then, so sending it again charges
    /// once.
    enum Recourse {
        /// Load the script and call it again.
        case load(RedisCommand)
        /// Send the script's text with the call: where loading is no help, a proxy or a serverless Redis carries out each command
        /// on another node.
        case evaluate(RedisCommand)
    }

    private var slots = CircularBuffer<Slot>(initialCapacity: 64)
    /// No caller is out of time before.
    private var nextDeadline = NIODeadline.distantFuture

    var count: Int { slots.count }

    /// When the oldest command was sent; nil when all have their replies.
    var oldest: NIODeadline? { slots.first?.sentAt }

    mutating func append(_ slot: Slot) {
        nextDeadline = min(nextDeadline, slot.deadline)
        slots.append(slot)
    }

    mutating func popFirst() -> Slot? {
        slots.popFirst()
    }

    /// Takes those of the newest that are calls of scripts, oldest first: a call can be sent again, to whatever server, unless
    /// it is about this one.
    mutating func takeNewest(_ count: Int) -> [(command: RedisCommand, slot: Slot)] {
        guard count > 0 else { return [] }
        // Who answers what it wasn't asked has left fewer.
        let newest = Array(slots.suffix(count))
        slots.removeLast(newest.count)
        return newest.compactMap { slot in
            switch slot.recourse {
            case .load(let command)?, .evaluate(let command)?:
                if command.script?.isAboutServer == false { return (command, slot) }
            case nil: break
            }
            slots.append(slot)
            return nil
        }
    }

    /// - Returns: the callers who are out of time, oldest first; they are never answered from here again.
    mutating func expire(at now: NIODeadline) -> [Completion] {
        guard nextDeadline <= now else { return [] }
        var expired: [Completion] = []
        nextDeadline = .distantFuture
        for index in slots.indices {
            let slot = slots[index]
            if slot.deadline > now {
                if slot.isWaitedFor { nextDeadline = min(nextDeadline, slot.deadline) }
            } else if let completion = slot.end() {
                expired.append(completion)
            }
        }
        return expired
    }

    /// Moves every deadline: the time was nobody's.
    mutating func shift(by excess: TimeAmount) {
        for index in slots.indices {
            slots[index].deadline = slots[index].deadline + excess
            slots[index].sentAt = slots[index].sentAt + excess
        }
        if nextDeadline < .distantFuture { nextDeadline = nextDeadline + excess }
    }

    /// - Returns: the callers who still wait, oldest first.
    mutating func removeAll() -> [Completion] {
        let waiting = slots.compactMap { $0.end() }
        slots.removeAll()
        nextDeadline = .distantFuture
        return waiting
    }
}
