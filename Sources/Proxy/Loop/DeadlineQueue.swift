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

        /// - Returns: whose it was.
        mutating func free(before next: Int32) -> Owner? {
            self.next = next
            generation &+= 1
            return owner.take()
        }
    }

    /// Entry 0 is the sentinel of the circular list.
    private static var sentinel: Int32 { 0 }

    private(set) var duration: TimeAmount
    private var entries: [Entry]
    /// Of those that are free, which are linked as well; the sentinel where there are none.
    private var firstFree = Self.sentinel

    init(duration: TimeAmount) {
        self.duration = duration
        entries = [Entry(owner: nil, deadline: .distantFuture, previous: 0, next: 0, generation: 0)]
    }

    var isEmpty: Bool { entries[0].next == Self.sentinel }

    mutating func arm(_ owner: Owner, at now: NIODeadline) -> Token {
        let (index, deadline) = (takePlace(), now + duration)
        // What is looked at through a span is checked once for being the queue's alone.
        var table = entries.mutableSpan
        table[Int(index)].owner = owner
        Self.linkLast(index, until: deadline, in: &table)
        return Token(index: index, generation: table[Int(index)].generation)
    }

    private mutating func takePlace() -> Int32 {
        guard firstFree == Self.sentinel else {
            defer { firstFree = entries[Int(firstFree)].next }
            return firstFree
        }
        entries.append(Entry(owner: nil, deadline: .distantFuture, previous: 0, next: 0, generation: 0))
        return Int32(entries.count - 1)
    }

    /// Moves a live entry to the end with a fresh deadline. A stale token is ignored.
    mutating func rearm(_ token: Token, at now: NIODeadline) {
        guard isLive(token) else { return }
        let deadline = now + duration
        var table = entries.mutableSpan
        Self.unlink(token.index, in: &table)
        Self.linkLast(token.index, until: deadline, in: &table)
    }

    /// A stale token is ignored: its entry has expired.
    mutating func cancel(_ token: Token) {
        guard isLive(token) else { return }
        _ = remove(token.index)
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
        return remove(head)
    }

    /// Takes out the oldest entry, whether its deadline has come or not.
    mutating func popFirst() -> Owner? {
        popExpired(at: .distantFuture)
    }

    private func isLive(_ token: Token) -> Bool {
        // Not by a copy of the entry, which would keep its owner meanwhile.
        entries[Int(token.index)].generation == token.generation && entries[Int(token.index)].owner != nil
    }

    /// - Returns: whose it was.
    private mutating func remove(_ index: Int32) -> Owner? {
        let next = firstFree
        firstFree = index
        var table = entries.mutableSpan
        Self.unlink(index, in: &table)
        return table[Int(index)].free(before: next)
    }

    private static func linkLast(_ index: Int32, until deadline: NIODeadline, in table: inout MutableSpan<Entry>) {
        let last = table[0].previous
        table[Int(index)].stand(behind: last, before: sentinel, until: deadline)
        table[Int(last)].next = index
        table[0].previous = index
    }

    private static func unlink(_ index: Int32, in table: inout MutableSpan<Entry>) {
        let (previous, next) = (table[Int(index)].previous, table[Int(index)].next)
        table[Int(previous)].next = next
        table[Int(next)].previous = previous
    }
}
