// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A loop's connections to the handler: the idle ones, the ones being made, and who waits for one.
///
/// 1. The most recently used idle connection is taken first (LIFO), so that the rest grow old and close before the
///    handler closes them.
/// 2. At most `capacity` are open; as many requests may wait for one, no longer than the connect timeout.
/// 3. A connection that carries a stream no longer counts: streams would otherwise use up the pool for good.
final class UpstreamPool {
    /// A place in the queue. Cancelling empties it where it stands.
    final class Ticket {
        fileprivate var waiter: DownstreamHandler?
        /// A connect was begun for this one: its timeout is the connect's.
        fileprivate var isConnecting: Bool

        fileprivate init(waiter: DownstreamHandler, isConnecting: Bool) {
            self.waiter = waiter
            self.isConnecting = isConnecting
        }
    }

    /// A request that can't be repeated takes only a connection that was idle for less than this.
    private static let recent = TimeAmount.seconds(1)
    /// What the kernel may hold for us behind our back: on FIN the channel reads all of it without being asked.
    private static let receiveBuffer: SocketOptionValue = 256 * 1024

    private static let secondTry = TimeAmount.milliseconds(10)

    private let eventLoop: any EventLoop
    private let capacity: Int
    private let connectTimeout: TimeAmount
    private let responseHeadLimit: Int
    private var address: SocketAddress?
    private unowned let shard: Shard

    private var idle: [UpstreamConnection] = []
    private var idleDeadlines: DeadlineQueue<UpstreamConnection>
    /// Of connections that are closed as soon as the handler has taken what was written.
    private var endDeadlines = DeadlineQueue<UpstreamConnection>(duration: .seconds(1))
    private var tickets = CircularBuffer<Ticket>()
    private var ticketDeadlines: DeadlineQueue<Ticket>
    private var waiting = 0
    /// Connections that count: being made, idle or carrying a request.
    private var open = 0
    private var isClosed = false

    init(shard: Shard, eventLoop: any EventLoop, configuration: Snapshot.Upstream, capacity: Int) {
        self.shard = shard
        self.eventLoop = eventLoop
        self.capacity = capacity
        address = configuration.address
        connectTimeout = configuration.connectTimeout
        responseHeadLimit = configuration.responseHeadLimit
        idleDeadlines = DeadlineQueue(duration: configuration.idleTimeout)
        ticketDeadlines = DeadlineQueue(duration: configuration.connectTimeout)
    }

    /// The name was resolved anew. Connections that are open stay.
    func resolve(to address: SocketAddress) {
        self.address = address
    }

    // MARK: Acquiring

    /// Answers by `upstreamArrived` or `upstreamMissing` on the waiter, perhaps before it returns.
    /// - Returns: the place in the queue while the answer is outstanding.
    func acquire(for waiter: DownstreamHandler, _ freshness: Exchange.Freshness, at now: NIODeadline) -> Ticket? {
        if let connection = takeIdle(freshness, at: now) {
            waiter.upstreamArrived(connection, isReused: true)
            return nil
        }
        guard open < capacity else {
            guard waiting < capacity else {
                waiter.upstreamMissing(.upstreamQueueFull)
                return nil
            }
            let ticket = Ticket(waiter: waiter, isConnecting: false)
            enqueue(ticket)
            _ = ticketDeadlines.arm(ticket, at: now)
            // Those that are idle are too old for this request: the oldest makes room.
            idle.first { $0.isActive }?.close()
            return ticket
        }
        let ticket = Ticket(waiter: waiter, isConnecting: true)
        enqueue(ticket)
        connect(until: now + connectTimeout)
        return ticket.waiter == nil ? nil : ticket
    }

    func cancel(_ ticket: Ticket) {
        guard ticket.waiter != nil else { return }
        ticket.waiter = nil
        waiting -= 1
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

    private func nextWaiter(where matches: (Ticket) -> Bool = { _ in true }) -> DownstreamHandler? {
        while let first = tickets.first, first.waiter == nil { tickets.removeFirst() }
        guard let index = tickets.firstIndex(where: { $0.waiter != nil && matches($0) }) else { return nil }
        let ticket = tickets.remove(at: index)
        let waiter = ticket.waiter
        ticket.waiter = nil
        waiting -= 1
        return waiter
    }

    // MARK: Connecting

    private func connect(until deadline: NIODeadline) {
        guard let address else {
            nextWaiter(where: \.isConnecting)?.upstreamMissing(.upstreamUnreachable)
            return
        }
        open += 1
        let connection = UpstreamConnection(pool: self, headLimit: responseHeadLimit)
        // The initializer may run later, but on this loop.
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        let connected = ClientBootstrap(group: eventLoop)
            .connectTimeout(connectTimeout)
            .channelOption(.socketOption(.so_rcvbuf), value: Self.receiveBuffer)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: Shard.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
            .connect(to: address)
        connected.assumeIsolated().whenComplete { result in
            switch result {
            case .success: self.arrived(connection)
            case .failure(let error): self.failed(error, deadline: deadline)
            }
        }
    }

    private func arrived(_ connection: UpstreamConnection) {
        shard.troubles.connecting.succeeded()
        connection.isConnected = true
        guard !isClosed else { return connection.close() }
        guard connection.isActive else {
            closed(connection)
            nextWaiter(where: \.isConnecting)?.upstreamMissing(.upstreamClosed)
            return
        }
        offer(connection, isReused: false)
    }

    private func failed(_ error: any Error, deadline: NIODeadline) {
        // A Unix socket whose queue is full doesn't let anybody wait, as TCP does. Here it counts as being made until then.
        if (error as? IOError)?.errnoCode == EAGAIN, shard.now + Self.secondTry < deadline, !isClosed {
            eventLoop.assumeIsolated().scheduleTask(in: Self.secondTry) {
                self.open -= 1
                self.connect(until: deadline)
            }
            return
        }
        open -= 1
        shard.troubles.connecting.failed(error, at: shard.now)
        let waiter = nextWaiter(where: \.isConnecting)
        // Before the waiter goes on: its next request must not take the place of those that wait already.
        connectForWaiters()
        waiter?.upstreamMissing(Exchange.Fault(connecting: error))
    }

    private func connectForWaiters() {
        guard !isClosed, open < capacity else { return }
        guard let ticket = tickets.first(where: { $0.waiter != nil && !$0.isConnecting }) else { return }
        ticket.isConnecting = true
        connect(until: shard.now + connectTimeout)
    }

    // MARK: Coming back

    /// The connection is clean and may carry the next request.
    func release(_ connection: UpstreamConnection) {
        guard !isClosed, connection.isActive, recount(connection) else { return connection.close() }
        offer(connection, isReused: true)
    }

    private func offer(_ connection: UpstreamConnection, isReused: Bool) {
        if let waiter = nextWaiter() {
            waiter.upstreamArrived(connection, isReused: isReused)
            return
        }
        connection.becomeIdle(token: idleDeadlines.arm(connection, at: shard.now), at: shard.now)
        idle.append(connection)
    }

    /// The connection no longer counts: it is gone, or its response is a stream, which may last for ever.
    func discount(_ connection: UpstreamConnection) {
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
        while let connection = idleDeadlines.popExpired(at: now) {
            connection.close()
        }
        while let connection = endDeadlines.popExpired(at: now) {
            connection.cutOff()
        }
        while let ticket = ticketDeadlines.popExpired(at: now) {
            guard !ticket.isConnecting, let waiter = ticket.waiter else { continue }
            cancel(ticket)
            waiter.upstreamMissing(.upstreamQueueFull)
        }
    }

    func close() {
        isClosed = true
        for connection in idle { connection.close() }
    }
}

extension Exchange.Fault {
    /// What kept a connection to the handler from being made.
    fileprivate init(connecting error: any Error) {
        switch error {
        case ChannelError.connectTimeout: self = .upstreamConnectTimeout
        case let error as IOError where error.errnoCode == EAGAIN: self = .upstreamConnectTimeout
        // Ours, not the handler's: too few descriptors, ports or buffers.
        case let error as IOError where [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].contains(error.errnoCode):
            self = .exhausted
        default: self = .upstreamUnreachable
        }
    }
}
