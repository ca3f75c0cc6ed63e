// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Who waits for a connection to the handler, in the order of coming, and what share of them each caller has.
struct UpstreamQueue<Waiter> {
    /// A place in the queue. Answering or cancelling empties it where it stands.
    final class Ticket {
        enum State {
            /// A connect was begun for this one: its timeout is the connect's.
            case connecting
            case waiting
            /// Its caller has its share.
            case parked
        }

        /// Nil once it was answered or cancelled.
        fileprivate(set) var waiter: Waiter?
        fileprivate(set) var state: State
        let share: UpstreamShares.Share
        let freshness: Exchange.Freshness

        fileprivate init(
            _ waiter: Waiter, _ state: State, _ share: UpstreamShares.Share, _ freshness: Exchange.Freshness
        ) {
            self.waiter = waiter
            self.state = state
            self.share = share
            self.freshness = freshness
        }
    }

    private var tickets = CircularBuffer<Ticket>()
    private var deadlines: DeadlineQueue<Ticket>
    private var shares: UpstreamShares
    /// Those that are neither settled nor parked.
    private(set) var waiting = 0 {
        didSet { assert(waiting >= 0) }
    }

    init(capacity: Int, timeout: TimeAmount) {
        shares = UpstreamShares(capacity: capacity)
        deadlines = DeadlineQueue(duration: timeout)
    }

    // MARK: Coming

    mutating func share(of caller: UpstreamCaller) -> UpstreamShares.Share {
        shares.share(of: caller)
    }

    func take(of share: UpstreamShares.Share) -> UpstreamShares.Verdict {
        shares.take(of: share)
    }

    /// What was just taken goes back unused.
    mutating func returnUnused(of share: UpstreamShares.Share) {
        let isParked = shares.giveBack(of: share)
        assert(!isParked, "Whoever could have another share has nobody parked")
    }

    mutating func park(
        _ waiter: Waiter, of share: UpstreamShares.Share, _ freshness: Exchange.Freshness
    ) -> Ticket {
        let ticket = Ticket(waiter, .parked, share, freshness)
        tickets.append(ticket)
        return ticket
    }

    mutating func enqueue(
        _ waiter: Waiter, of share: UpstreamShares.Share, _ freshness: Exchange.Freshness
    ) -> Ticket {
        let ticket = Ticket(waiter, .waiting, share, freshness)
        tickets.append(ticket)
        waiting += 1
        return ticket
    }

    /// It won't wait longer than that, unless a connect is begun for it.
    mutating func arm(_ ticket: Ticket, at now: NIODeadline) {
        _ = deadlines.arm(ticket, at: now)
    }

    // MARK: Going on

    func connects(_ ticket: Ticket) {
        ticket.state = .connecting
    }

    /// Another one got what was made for it.
    func waitsAgain(_ ticket: Ticket) {
        ticket.state = .waiting
    }

    /// It is answered or cancelled.
    mutating func settle(_ ticket: Ticket) {
        ticket.waiter = nil
        if ticket.state == .parked { shares.leave(ticket.share) } else { waiting -= 1 }
    }

    /// One request less of that caller.
    ///
    /// - Returns: another of its that may go on, and now waits.
    mutating func giveBack(of share: UpstreamShares.Share) -> Ticket? {
        guard shares.giveBack(of: share),
            let ticket = tickets.first(where: { $0.waiter != nil && $0.state == .parked && $0.share === share })
        else { return nil }
        shares.takeParked(of: share)
        ticket.state = .waiting
        waiting += 1
        return ticket
    }

    // MARK: Looking

    /// The first one that matches and for which nothing was begun.
    func firstWaiting(where matches: (Ticket) -> Bool) -> Ticket? {
        tickets.first { $0.waiter != nil && $0.state == .waiting && matches($0) }
    }

    var lastConnecting: Ticket? {
        tickets.last { $0.waiter != nil && $0.state == .connecting }
    }

    var connecting: Int {
        tickets.count { $0.waiter != nil && $0.state == .connecting }
    }

    /// Settles the first one that waits, and for which a connect was begun if only such a one matters.
    mutating func takeFirst(connecting: Bool = false) -> (ticket: Ticket, waiter: Waiter)? {
        dropSettled()
        let found = tickets.firstIndex { ticket in
            guard ticket.waiter != nil else { return false }
            return connecting ? ticket.state == .connecting : ticket.state != .parked
        }
        guard let found else { return nil }
        let ticket = tickets.remove(at: found)
        guard let waiter = ticket.waiter else { return nil }
        settle(ticket)
        return (ticket, waiter)
    }

    private mutating func dropSettled() {
        while let first = tickets.first, first.waiter == nil { tickets.removeFirst() }
    }

    // MARK: Time

    mutating func shift(by excess: TimeAmount) {
        deadlines.shift(by: excess)
    }

    /// - Returns: one that has waited for too long, not settled yet.
    mutating func popExpired(at now: NIODeadline) -> (ticket: Ticket, waiter: Waiter)? {
        while let ticket = deadlines.popExpired(at: now) {
            guard ticket.state != .connecting, let waiter = ticket.waiter else { continue }
            return (ticket, waiter)
        }
        dropSettled()
        return nil
    }
}
