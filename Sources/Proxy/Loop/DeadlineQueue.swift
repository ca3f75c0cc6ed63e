// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// All deadlines of one class on one loop. They share a duration, so arming order is expiry order: a FIFO list.
///
/// Arming, re-arming and cancelling are O(1) and allocate nothing once the table has grown; NIO's timers would cost
/// 7 000 instructions each and search a heap on cancel. The loop's tick looks at the head.
struct DeadlineQueue<Owner: AnyObject> {
    /// A place in the table; valid until the entry expires or is cancelled.
    struct Token: Equatable {
        fileprivate let index: Int32
        fileprivate let generation: UInt32
    }

    private struct Entry {
        var owner: Owner?
        var deadline: NIODeadline
        var previous: Int32
        var next: Int32
        var generation: UInt32

        mutating func stand(behind previous: Int32, before next: Int32, until deadline: NIODeadline) {
            self.previous = previous
            self.next = next
            self.deadline = deadline
        }

        mutating func free() {
            owner = nil
            generation &+= 1
        }
    }

    /// Entry 0 is the sentinel of the circular list.
    private static var sentinel: Int32 { 0 }

    private(set) var duration: TimeAmount
    private var entries: [Entry]
    private var free: [Int32] = []

    init(duration: TimeAmount) {
        self.duration = duration
        entries = [Entry(owner: nil, deadline: .distantFuture, previous: 0, next: 0, generation: 0)]
    }

    var isEmpty: Bool { entries[0].next == Self.sentinel }

    mutating func arm(_ owner: Owner, at now: NIODeadline) -> Token {
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(entries.count)
            entries.append(Entry(owner: nil, deadline: now, previous: 0, next: 0, generation: 0))
        }
        entries[Int(index)].owner = owner
        let generation = entries[Int(index)].generation
        linkLast(index, until: now + duration)
        return Token(index: index, generation: generation)
    }

    /// Moves a live entry to the end with a fresh deadline. A stale token is ignored.
    mutating func rearm(_ token: Token, at now: NIODeadline) {
        guard isLive(token) else { return }
        unlink(token.index)
        linkLast(token.index, until: now + duration)
    }

    /// A stale token is ignored: its entry has expired.
    mutating func cancel(_ token: Token) {
        guard isLive(token) else { return }
        remove(token.index)
    }

    /// Moves all: the time was nobody's.
    mutating func shift(by excess: TimeAmount) {
        for index in entries.indices where entries[index].owner != nil {
            entries[index].deadline = entries[index].deadline + excess
        }
    }

    /// What is armed from now on has another time. Nobody has longer than that left either, so that arming order stays expiry
    /// order.
    mutating func change(to duration: TimeAmount, at now: NIODeadline) {
        guard duration != self.duration else { return }
        self.duration = duration
        for index in entries.indices where entries[index].owner != nil {
            entries[index].deadline = min(entries[index].deadline, now + duration)
        }
    }

    /// Takes out the oldest entry whose deadline has come, or nil. One at a time, because the owner may re-enter.
    mutating func popExpired(at now: NIODeadline) -> Owner? {
        let head = entries[0].next
        guard head != Self.sentinel, entries[Int(head)].deadline <= now else { return nil }
        let owner = entries[Int(head)].owner
        remove(head)
        return owner
    }

    /// Takes out the oldest entry, whether its deadline has come or not.
    mutating func popFirst() -> Owner? {
        popExpired(at: .distantFuture)
    }

    private func isLive(_ token: Token) -> Bool {
        // Not by a copy of the entry, which would keep its owner meanwhile.
        entries[Int(token.index)].generation == token.generation && entries[Int(token.index)].owner != nil
    }

    private mutating func remove(_ index: Int32) {
        unlink(index)
        entries[Int(index)].free()
        free.append(index)
    }

    private mutating func linkLast(_ index: Int32, until deadline: NIODeadline) {
        let last = entries[0].previous
        entries[Int(index)].stand(behind: last, before: Self.sentinel, until: deadline)
        entries[Int(last)].next = index
        entries[0].previous = index
    }

    private mutating func unlink(_ index: Int32) {
        let (previous, next) = (entries[Int(index)].previous, entries[Int(index)].next)
        entries[Int(previous)].next = next
        entries[Int(next)].previous = previous
    }
}
