// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What the pool asks a connection.
protocol PooledConnection: AnyObject {
    var isActive: Bool { get }
    /// False where its address is no longer the handler's.
    var isCurrent: Bool { get }
    /// The pool's own notes.
    var standing: UpstreamPool.Standing { get set }
}

extension UpstreamPool {
    /// How a connection stands to the pool, for its machine alone to read and change.
    struct Standing {
        /// Against the capacity; streams are not, nor is what waits without a bound.
        fileprivate var isCounted = true
        /// The share that it is a part of.
        fileprivate var share: UpstreamShares.Share?
    }

    /// Which connection goes to whom, and when one is made or closed. No IO: each event returns what is to be done.
    ///
    /// 1. The most recently used idle connection is taken first (LIFO), so that the rest grow old and close before the
    ///    handler closes them.
    /// 2. At most `capacity` are open; as many requests may wait for one, no longer than the connect timeout.
    /// 3. A connection that carries a stream no longer counts: streams would otherwise use up the pool for good. One that
    ///    may become one makes way after a while, but counts against its caller until its response begins.
    /// 4. One caller has or waits for at most half of them. Its further requests are parked: nothing is begun for them, and
    ///    they stand in nobody's way, until it gives something back.
    /// 5. Once all that was returned is done, nobody waits while there is room, and as many connections are being made as
    ///    tickets count on, or more.
    struct StateMachine<Connection: PooledConnection, Waiter> {
        typealias Ticket = UpstreamQueue<Waiter>.Ticket

        enum AcquireAction {
            /// To who asked.
            case hand(Connection)
            case refuse(Exchange.Fault)
            case wait(Ticket, Step)
        }

        enum Step {
            case none
            case hand(Connection, to: Waiter, isReused: Bool)
            /// Tell ``connected(_:at:)`` or ``connectFailed(_:at:)``, once.
            case connect(until: NIODeadline)
            case close(Connection)
        }

        /// An event of the machine's own, due when a step and all that came of it are done.
        enum Then {
            case nothing
            case serve(Ticket)
            case giveBack(UpstreamShares.Share)
        }

        struct Steps {
            var first = Step.none
            var then = Then.nothing
            /// Last: no connection comes for this one.
            var refused: (Waiter, Exchange.Fault)?
        }

        enum Expiry {
            case close(Connection)
            /// Look whether it ends by itself; if it is to go on, call ``awaitEnd(of:at:)``.
            case look(Connection)
            case refuse(Waiter, Exchange.Fault, after: Step)
        }

        /// Between two looks at a connection that waits for its end.
        static var endLook: TimeAmount { .seconds(1) }

        private let capacity: Int
        private let connectTimeout: TimeAmount
        private var idle: IdleConnections<Connection>
        /// Of connections that are closed as soon as the handler has taken what was written.
        private var endDeadlines = DeadlineQueue<Connection>(duration: endLook)
        /// How many those are.
        private var endings = 0
        private var queue: UpstreamQueue<Waiter>
        /// Connections that count: being made, idle or carrying a request.
        private var open = 0 {
            didSet { assert(0...capacity ~= open) }
        }
        /// Connects that were begun and not told of yet.
        private var connecting = 0 {
            didSet { assert(connecting >= 0) }
        }
        private var isClosed = false

        init(capacity: Int, connectTimeout: TimeAmount, idleTimeout: TimeAmount) {
            self.capacity = capacity
            self.connectTimeout = connectTimeout
            queue = UpstreamQueue(capacity: capacity, timeout: connectTimeout)
            idle = IdleConnections(timeout: idleTimeout)
        }

        /// Connections by what they do; those of streams don't count.
        var tally: UpstreamTally {
            let idleCount = idle.all.count
            return UpstreamTally(
                idle: idleCount, connecting: connecting, busy: max(0, open - connecting - idleCount))
        }

        /// Those that are closing are among them until that was told.
        var idleConnections: [Connection] { idle.all }

        // MARK: Who waits

        mutating func acquire(
            for waiter: Waiter, of caller: UpstreamCaller, _ freshness: Exchange.Freshness, at now: NIODeadline
        ) -> AcquireAction {
            let share = queue.share(of: caller)
            switch queue.take(of: share) {
            case .taken: break
            case .parked:
                let ticket = queue.park(waiter, of: share, freshness)
                queue.arm(ticket, at: now)
                return .wait(ticket, .none)
            case .refused: return .refuse(.upstreamShare)
            }
            if let connection = takeIdle(freshness, of: share, at: now) { return .hand(connection) }
            if open < capacity {
                let ticket = queue.enqueue(waiter, of: share, freshness)
                return .wait(ticket, begin(for: ticket, at: now))
            }
            guard queue.waiting < capacity else {
                queue.returnUnused(of: share)
                return .refuse(.upstreamQueueFull)
            }
            let ticket = queue.enqueue(waiter, of: share, freshness)
            queue.arm(ticket, at: now)
            return .wait(ticket, makeRoom())
        }

        /// Does nothing for one that is settled.
        mutating func cancel(_ ticket: Ticket, at now: NIODeadline) -> Step {
            guard ticket.waiter != nil else { return .none }
            queue.settle(ticket)
            return ticket.state == .parked ? .none : giveBack(of: ticket.share, at: now)
        }

        /// Does for one that waits what is done for one that comes.
        mutating func serve(_ ticket: Ticket, at now: NIODeadline) -> Step {
            guard let waiter = ticket.waiter, ticket.state == .waiting, !isClosed else { return .none }
            if let connection = takeIdle(ticket.freshness, of: ticket.share, at: now) {
                queue.settle(ticket)
                return .hand(connection, to: waiter, isReused: true)
            }
            return open < capacity ? begin(for: ticket, at: now) : makeRoom()
        }

        /// One request less of that caller: another of its may go on.
        mutating func giveBack(of share: UpstreamShares.Share, at now: NIODeadline) -> Step {
            queue.giveBack(of: share).map { serve($0, at: now) } ?? .none
        }

        // MARK: Connections

        mutating func connected(_ connection: Connection, at now: NIODeadline) -> Steps {
            connecting -= 1
            guard !isClosed else { return Steps(first: .close(connection)) }
            guard connection.isActive else {
                uncount(connection)
                return disappoint(.upstreamClosed, at: now)
            }
            guard let (ticket, waiter) = queue.takeFirst() else { return keep(connection, at: now) }
            connection.standing.share = ticket.share
            var steps = Steps(first: .hand(connection, to: waiter, isReused: false))
            // It may have been made for one that stands behind: that one waits from now on.
            if ticket.state == .waiting, queue.connecting > connecting, let bereft = queue.lastConnecting {
                queue.waitsAgain(bereft)
                queue.arm(bereft, at: now)
                steps.then = .serve(bereft)
            }
            return steps
        }

        mutating func connectFailed(_ fault: Exchange.Fault, at now: NIODeadline) -> Steps {
            connecting -= 1
            open -= 1
            return disappoint(fault, at: now)
        }

        mutating func release(_ connection: Connection, at now: NIODeadline) -> Steps {
            let unparked = connection.standing.share.take().flatMap { queue.giveBack(of: $0) }
            var steps = passOn(connection, at: now)
            // It may have been for this one that the connection came.
            if let unparked { steps.then = .serve(unparked) }
            return steps
        }

        private mutating func passOn(_ connection: Connection, at now: NIODeadline) -> Steps {
            guard !isClosed, connection.isActive, connection.isCurrent, recount(connection) else {
                return Steps(first: .close(connection))
            }
            guard let (ticket, waiter) = queue.takeFirst() else { return keep(connection, at: now) }
            connection.standing.share = ticket.share
            return Steps(first: .hand(connection, to: waiter, isReused: true))
        }

        mutating func discount(_ connection: Connection, at now: NIODeadline) -> Steps {
            let share = connection.standing.share.take()
            return Steps(first: makeWay(connection, at: now), then: share.map { .giveBack($0) } ?? .nothing)
        }

        mutating func makeWay(_ connection: Connection, at now: NIODeadline) -> Step {
            guard connection.standing.isCounted else { return .none }
            uncount(connection)
            return beginForFirst(at: now)
        }

        mutating func closed(_ connection: Connection, at now: NIODeadline) -> Steps {
            idle.remove(connection)
            return discount(connection, at: now)
        }

        // MARK: Time and end

        /// No more wait for their ends than may be open: a client that leaves tunnels behind a slow handler may open others.
        ///
        /// - Returns: the one that was looked at longest ago, where there is one too many: to be cut off.
        @discardableResult
        mutating func awaitEnd(of connection: Connection, at now: NIODeadline) -> Connection? {
            _ = endDeadlines.arm(connection, at: now)
            endings += 1
            return endings > capacity ? popEnding() : nil
        }

        /// What is idle grows old all the same: the handler's clock went on.
        mutating func shift(by excess: TimeAmount) {
            endDeadlines.shift(by: excess)
            queue.shift(by: excess)
        }

        /// - Returns: one thing whose time is over; to be called until there is none.
        mutating func expire(at now: NIODeadline) -> Expiry? {
            if let connection = idle.popExpired(at: now) { return .close(connection) }
            if let connection = endDeadlines.popExpired(at: now) {
                endings -= 1
                return .look(connection)
            }
            guard let (ticket, waiter) = queue.popExpired(at: now) else { return nil }
            let fault = ticket.state == .parked ? Exchange.Fault.upstreamShare : .upstreamQueueFull
            return .refuse(waiter, fault, after: cancel(ticket, at: now))
        }

        /// Nothing is begun from now on for those that wait.
        mutating func close() {
            isClosed = true
        }

        /// One that the handler has not taken everything from yet; nobody looks at the time any more.
        mutating func popEnding() -> Connection? {
            guard let connection = endDeadlines.popFirst() else { return nil }
            endings -= 1
            return connection
        }

        var awaitsEnds: Bool { !endDeadlines.isEmpty }

        // MARK: Room

        private mutating func begin(for ticket: Ticket, at now: NIODeadline) -> Step {
            queue.connects(ticket)
            open += 1
            connecting += 1
            return .connect(until: now + connectTimeout)
        }

        private mutating func beginForFirst(at now: NIODeadline) -> Step {
            guard !isClosed, open < capacity else { return .none }
            // One that was just unparked, and is about to be served, may have what is idle.
            let first = queue.firstWaiting { !idle.fits($0.freshness, at: now) }
            return first.map { begin(for: $0, at: now) } ?? .none
        }

        /// No connection comes for the first one for which one was to be made.
        private mutating func disappoint(_ fault: Exchange.Fault, at now: NIODeadline) -> Steps {
            let disappointed = queue.takeFirst(connecting: true)
            var steps = Steps(first: beginForFirst(at: now))
            guard let (ticket, waiter) = disappointed else { return steps }
            steps.then = .giveBack(ticket.share)
            steps.refused = (waiter, fault)
            return steps
        }

        /// Those that are idle are too old for who waits: the oldest goes.
        private func makeRoom() -> Step {
            idle.oldest.map { .close($0) } ?? .none
        }

        private mutating func uncount(_ connection: Connection) {
            guard connection.standing.isCounted else { return }
            connection.standing.isCounted = false
            open -= 1
        }

        /// - Returns: whether there is room for one that counts again, now that its stream is over.
        private mutating func recount(_ connection: Connection) -> Bool {
            guard !connection.standing.isCounted else { return true }
            guard open < capacity else { return false }
            connection.standing.isCounted = true
            open += 1
            return true
        }

        // MARK: Idle connections

        private mutating func keep(_ connection: Connection, at now: NIODeadline) -> Steps {
            guard connection.isCurrent else { return Steps(first: .close(connection)) }
            idle.append(connection, at: now)
            return Steps()
        }

        private mutating func takeIdle(
            _ freshness: Exchange.Freshness, of share: UpstreamShares.Share, at now: NIODeadline
        ) -> Connection? {
            let connection = idle.take(freshness, at: now)
            connection?.standing.share = share
            return connection
        }
    }
}
