// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A loop's connections to the handler: the idle ones, the ones being made, and who waits for one.
///
/// 1. The most recently used idle connection is taken first (LIFO), so that the rest grow old and close before the
///    handler closes them.
/// 2. At most `capacity` are open; as many requests may wait for one, no longer than the connect timeout.
/// 3. A connection that carries a stream no longer counts: streams would otherwise use up the pool for good. One that may
///    become one makes way after a while, but counts against its caller until its response begins.
/// 4. One caller has or waits for at most half of them. Its further requests are parked: nothing is begun for them, and they
///    stand in nobody's way, until it gives something back.
final class UpstreamPool {
    /// A place in the queue. Cancelling empties it where it stands.
    final class Ticket {
        fileprivate enum State {
            /// A connect was begun for this one: its timeout is the connect's.
            case connecting
            case waiting
            /// Its caller has its share.
            case parked
        }

        fileprivate var waiter: DownstreamHandler?
        fileprivate var state: State
        fileprivate let caller: UpstreamCaller
        fileprivate let freshness: Exchange.Freshness

        fileprivate init(
            _ waiter: DownstreamHandler, _ state: State, _ caller: UpstreamCaller, _ freshness: Exchange.Freshness
        ) {
            self.waiter = waiter
            self.state = state
            self.caller = caller
            self.freshness = freshness
        }
    }

    /// A request that can't be repeated takes only a connection that was idle for less than this.
    private static let recent = TimeAmount.seconds(1)

    private let capacity: Int
    private let connectTimeout: TimeAmount
    private let connector: UpstreamConnector
    private unowned let shard: Shard

    private var idle: [UpstreamConnection] = []
    private var idleDeadlines: DeadlineQueue<UpstreamConnection>
    /// Of connections that are closed as soon as the handler has taken what was written.
    private var endDeadlines = DeadlineQueue<UpstreamConnection>(duration: .seconds(1))
    private var tickets = CircularBuffer<Ticket>()
    private var ticketDeadlines: DeadlineQueue<Ticket>
    /// Of them, those that are neither cancelled nor parked.
    private var waiting = 0
    private var shares: UpstreamShares
    /// Connections that count: being made, idle or carrying a request.
    private var open = 0
    private var isClosed = false

    init(shard: Shard, connector: UpstreamConnector, configuration: Snapshot.Upstream, capacity: Int) {
        self.shard = shard
        self.connector = connector
        self.capacity = capacity
        shares = UpstreamShares(capacity: capacity)
        connectTimeout = configuration.connectTimeout
        idleDeadlines = DeadlineQueue(duration: configuration.idleTimeout)
        ticketDeadlines = DeadlineQueue(duration: configuration.connectTimeout)
    }

    /// The handler's name was asked for anew. What is connected to an address that it no longer has carries no further
    /// request.
    func resolved(to addresses: [SocketAddress]) {
        connector.resolved(to: addresses)
        for connection in idle where !connection.target.isCurrent { connection.close() }
    }

    // MARK: Acquiring

    /// Answers by `upstreamArrived` or `upstreamMissing` on the waiter, perhaps before it returns.
    /// - Returns: the place in the queue while the answer is outstanding.
    func acquire(
        for waiter: DownstreamHandler, of caller: UpstreamCaller, _ freshness: Exchange.Freshness, at now: NIODeadline
    ) -> Ticket? {
        switch shares.take(for: caller) {
        case .taken: break
        case .parked:
            let ticket = Ticket(waiter, .parked, caller, freshness)
            tickets.append(ticket)
            _ = ticketDeadlines.arm(ticket, at: now)
            return ticket
        case .refused:
            waiter.upstreamMissing(.upstreamShare)
            return nil
        }
        if let connection = takeIdle(freshness, at: now) {
            connection.caller = caller
            waiter.upstreamArrived(connection, isReused: true)
            return nil
        }
        let ticket = Ticket(waiter, .waiting, caller, freshness)
        if open < capacity {
            enqueue(ticket)
            begin(for: ticket, at: now)
        } else if waiting < capacity {
            enqueue(ticket)
            _ = ticketDeadlines.arm(ticket, at: now)
            makeRoom()
        } else {
            giveBack(of: caller)
            waiter.upstreamMissing(.upstreamQueueFull)
            return nil
        }
        return ticket.waiter == nil ? nil : ticket
    }

    func cancel(_ ticket: Ticket) {
        guard ticket.waiter != nil else { return }
        ticket.waiter = nil
        guard ticket.state != .parked else { return shares.leave(ticket.caller) }
        waiting -= 1
        giveBack(of: ticket.caller)
    }

    /// Those that are idle are too old for who waits: the oldest goes.
    private func makeRoom() {
        idle.first { $0.isActive }?.close()
    }

    private func begin(for ticket: Ticket, at now: NIODeadline) {
        ticket.state = .connecting
        connect(until: now + connectTimeout)
    }

    private func takeIdle(_ freshness: Exchange.Freshness, at now: NIODeadline) -> UpstreamConnection? {
        guard freshness != .new else { return nil }
        while let connection = idle.last, freshness == .any || now - connection.idleSince < Self.recent {
            idle.removeLast()
            cancelIdleDeadline(connection)
            // One that is closing is here until its channel says so.
            if connection.isActive { return connection }
        }
        return nil
    }

    private func cancelIdleDeadline(_ connection: UpstreamConnection) {
        if let token = connection.takeIdleToken() { idleDeadlines.cancel(token) }
    }

    private func enqueue(_ ticket: Ticket) {
        tickets.append(ticket)
        waiting += 1
    }

    private func dropCancelled() {
        while let first = tickets.first, first.waiter == nil { tickets.removeFirst() }
    }

    /// Takes the first one out that waits and matches.
    private func nextWaiter(
        where matches: (Ticket) -> Bool = { _ in true }
    ) -> (waiter: DownstreamHandler, caller: UpstreamCaller)? {
        dropCancelled()
        guard let index = tickets.firstIndex(where: { $0.waiter != nil && $0.state != .parked && matches($0) }) else {
            return nil
        }
        let ticket = tickets.remove(at: index)
        guard let waiter = ticket.waiter else { return nil }
        ticket.waiter = nil
        waiting -= 1
        return (waiter, ticket.caller)
    }

    /// No connection comes for the first one for which one was to be made.
    private func disappoint(_ fault: Exchange.Fault) {
        guard let (waiter, caller) = nextWaiter(where: { $0.state == .connecting }) else { return }
        giveBack(of: caller)
        waiter.upstreamMissing(fault)
    }

    // MARK: Shares

    /// One request less of that caller: another of its may go on.
    private func giveBack(of caller: UpstreamCaller) {
        if let ticket = unpark(caller) { serve(ticket) }
    }

    /// - Returns: what may go on, and has to be served.
    private func unpark(_ caller: UpstreamCaller) -> Ticket? {
        guard shares.giveBack(of: caller),
            let ticket = tickets.first(where: { $0.waiter != nil && $0.state == .parked && $0.caller == caller })
        else { return nil }
        shares.takeParked(of: caller)
        ticket.state = .waiting
        waiting += 1
        return ticket
    }

    /// Does for one that waits what is done for one that comes.
    private func serve(_ ticket: Ticket) {
        let now = shard.now
        guard let waiter = ticket.waiter, ticket.state == .waiting, !isClosed else { return }
        if let connection = takeIdle(ticket.freshness, at: now) {
            ticket.waiter = nil
            waiting -= 1
            connection.caller = ticket.caller
            waiter.upstreamArrived(connection, isReused: true)
        } else if open < capacity {
            begin(for: ticket, at: now)
        } else {
            makeRoom()
        }
    }

    // MARK: Connecting

    private func connect(until deadline: NIODeadline) {
        open += 1
        connector.connect(for: self, until: deadline) { result in
            switch result {
            case .success(let connection): self.arrived(connection)
            case .failure(let error): self.failed(error)
            }
        }
    }

    private func arrived(_ connection: UpstreamConnection) {
        shard.troubles.connecting.succeeded()
        connection.isConnected = true
        guard !isClosed else { return connection.close() }
        guard connection.isActive else {
            closed(connection)
            return disappoint(.upstreamClosed)
        }
        offer(connection, isReused: false)
    }

    private func failed(_ error: any Error) {
        open -= 1
        shard.troubles.connecting.failed(error, at: shard.now)
        let disappointed = nextWaiter { $0.state == .connecting }
        // Before the waiter goes on: its next request must not take the place of those that wait already.
        connectForWaiters()
        guard let (waiter, caller) = disappointed else { return }
        giveBack(of: caller)
        waiter.upstreamMissing(Exchange.Fault(connecting: error))
    }

    private func connectForWaiters() {
        guard !isClosed, open < capacity else { return }
        guard let ticket = tickets.first(where: { $0.waiter != nil && $0.state == .waiting }) else { return }
        begin(for: ticket, at: shard.now)
    }

    // MARK: Coming back

    /// The connection is clean and may carry the next request.
    func release(_ connection: UpstreamConnection) {
        let ticket = connection.caller.flatMap { unpark($0) }
        connection.caller = nil
        if !isClosed, connection.isActive, connection.target.isCurrent, recount(connection) {
            offer(connection, isReused: true)
        } else {
            connection.close()
        }
        // It may have been for this one that the connection came.
        if let ticket { serve(ticket) }
    }

    private func offer(_ connection: UpstreamConnection, isReused: Bool) {
        if let (waiter, caller) = nextWaiter() {
            connection.caller = caller
            waiter.upstreamArrived(connection, isReused: isReused)
            return
        }
        guard connection.target.isCurrent else { return connection.close() }
        connection.becomeIdle(token: idleDeadlines.arm(connection, at: shard.now), at: shard.now)
        idle.append(connection)
    }

    /// The connection no longer counts: it is gone, or its response is a stream, which may last for ever.
    func discount(_ connection: UpstreamConnection) {
        let caller = connection.caller
        connection.caller = nil
        makeWay(connection)
        if let caller { giveBack(of: caller) }
    }

    /// Nobody knows how long its response will take: others get its place, and its caller's share keeps it. The handler has
    /// said nothing yet, so this is no way to as many connections as one likes.
    func makeWay(_ connection: UpstreamConnection) {
        guard connection.isCounted else { return }
        connection.isCounted = false
        open -= 1
        connectForWaiters()
    }

    /// - Returns: whether there is room for one that counts again, now that its stream is over.
    private func recount(_ connection: UpstreamConnection) -> Bool {
        guard !connection.isCounted else { return true }
        guard open < capacity else { return false }
        connection.isCounted = true
        open += 1
        return true
    }

    /// The connection has ended, whoever did it; told once.
    func closed(_ connection: UpstreamConnection) {
        if let index = idle.lastIndex(where: { $0 === connection }) {
            idle.remove(at: index)
            cancelIdleDeadline(connection)
        }
        discount(connection)
    }

    // MARK: Time

    func awaitEnd(of connection: UpstreamConnection) {
        _ = endDeadlines.arm(connection, at: shard.now)
    }

    /// The process stood still. What is idle grows old all the same: the handler's clock went on.
    func shift(by excess: TimeAmount) {
        endDeadlines.shift(by: excess)
        ticketDeadlines.shift(by: excess)
    }

    func expire(at now: NIODeadline) {
        connector.expire(at: now)
        while let connection = idleDeadlines.popExpired(at: now) {
            connection.close()
        }
        while let connection = endDeadlines.popExpired(at: now) {
            connection.cutOff()
        }
        while let ticket = ticketDeadlines.popExpired(at: now) {
            guard ticket.state != .connecting, let waiter = ticket.waiter else { continue }
            let fault = ticket.state == .parked ? Exchange.Fault.upstreamShare : .upstreamQueueFull
            cancel(ticket)
            waiter.upstreamMissing(fault)
        }
        dropCancelled()
    }

    func close() {
        isClosed = true
        connector.close()
        for connection in idle { connection.close() }
    }
}
