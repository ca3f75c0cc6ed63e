// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A loop's connections to the handler: the idle ones, the ones being made, and who waits for one. Its machine decides;
/// what that returns is done here.
///
/// Whatever is done may call back before it returns: the machine's state changes first, acts come last. Who gets no
/// connection is told after all others: its next request must not take the place of those that wait already.
final class UpstreamPool {
    typealias Machine = StateMachine<UpstreamConnection, any UpstreamReceiver>
    /// A place in the queue.
    typealias Ticket = Machine.Ticket

    private var machine: Machine
    private let connector: UpstreamConnector
    private let clock: LoopClock
    private let trouble: Trouble
    /// As `upstream.url` has it.
    private let address: String
    /// The handler has answered by TLS, so what we show it will do.
    private(set) var hasAnswered = false

    /// - Parameters:
    ///   - capacity: connections at once, streams apart.
    ///   - trouble: where connections that can't be made are told of.
    init(
        configuration: Snapshot.Upstream, capacity: Int, connector: UpstreamConnector, clock: LoopClock,
        trouble: Trouble
    ) {
        machine = Machine(
            capacity: capacity, connectTimeout: configuration.connectTimeout, idleTimeout: configuration.idleTimeout)
        self.connector = connector
        self.clock = clock
        self.trouble = trouble
        address = configuration.address
    }

    /// The handler's name was asked for anew. What is connected to an address that it no longer has carries no further
    /// request.
    func resolved(to addresses: [SocketAddress]) {
        connector.resolved(to: addresses)
        for connection in machine.idleConnections where !connection.isCurrent { connection.close() }
    }

    var tally: UpstreamTally { machine.tally }
    /// Some that carry nothing any more have yet to be taken from.
    var awaitsEnds: Bool { machine.awaitsEnds }

    // MARK: For who waits

    /// Answers by `upstreamArrived` or `upstreamMissing` on the waiter, perhaps before it returns.
    /// - Returns: the place in the queue while the answer is outstanding.
    func acquire(
        for waiter: any UpstreamReceiver, of caller: UpstreamCaller, _ freshness: Exchange.Freshness,
        at now: NIODeadline
    ) -> Ticket? {
        switch machine.acquire(for: waiter, of: caller, freshness, at: now) {
        case .hand(let connection):
            waiter.upstreamArrived(connection, isReused: true)
            return nil
        case .refuse(let fault):
            waiter.upstreamMissing(fault)
            return nil
        case .wait(let ticket, let step):
            perform(step)
            return ticket.waiter == nil ? nil : ticket
        }
    }

    /// Nobody is answered any more. A second time, or after the answer, it does nothing.
    func cancel(_ ticket: Ticket) {
        perform(machine.cancel(ticket, at: clock.now))
    }

    // MARK: For who has a connection

    /// The connection is clean and may carry the next request.
    func release(_ connection: UpstreamConnection) {
        perform(machine.release(connection, at: clock.now))
    }

    /// The connection no longer counts: it is gone, or its response is a stream, which may last for ever.
    func discount(_ connection: UpstreamConnection) {
        perform(machine.discount(connection, at: clock.now))
    }

    /// Nobody knows how long its response will take: others get its place, and its caller's share keeps it. The handler
    /// has said nothing yet, so this is no way to as many connections as one likes.
    func makeWay(_ connection: UpstreamConnection) {
        perform(machine.makeWay(connection, at: clock.now))
    }

    // MARK: For connections

    /// The connection has ended, whoever did it; told once.
    func closed(_ connection: UpstreamConnection) {
        perform(machine.closed(connection, at: clock.now))
    }

    /// One that was made by TLS has ended before its first answer.
    func failed(_ error: any Error, at target: UpstreamTarget) {
        trouble.failed(error, of: handler(at: target.address), at: clock.now)
    }

    private func handler(at tried: SocketAddress?) -> Trouble.Handler {
        Trouble.Handler(name: address, address: tried?.written ?? address)
    }

    /// One that was made by TLS has brought an answer.
    func answered() {
        hasAnswered = true
        trouble.succeeded()
    }

    /// It closes when the handler has taken what was written, and is looked at each second until then.
    func awaitEnd(of connection: UpstreamConnection) {
        machine.awaitEnd(of: connection, at: clock.now)?.cutOff()
    }

    // MARK: Time

    /// The process stood still.
    func shift(by excess: TimeAmount) {
        machine.shift(by: excess)
        connector.shift(by: excess)
    }

    func expire(at now: NIODeadline) {
        connector.expire(at: now)
        while let expiry = machine.expire(at: now) {
            switch expiry {
            case .close(let connection): connection.close()
            case .look(let connection):
                if connection.awaitsEnd(after: Machine.endLook) { awaitEnd(of: connection) }
            case .refuse(let waiter, let fault, let step):
                perform(step)
                waiter.upstreamMissing(fault)
            }
        }
    }

    func close() {
        machine.close()
        connector.close()
        for connection in machine.idleConnections { connection.close() }
        while let connection = machine.popEnding() { connection.cutOff() }
    }

    // MARK: Acting

    private func perform(_ steps: Machine.Steps) {
        perform(steps.first)
        switch steps.then {
        case .nothing: break
        case .serve(let ticket): perform(machine.serve(ticket, at: clock.now))
        case .giveBack(let share): perform(machine.giveBack(of: share, at: clock.now))
        }
        if let (waiter, fault) = steps.refused { waiter.upstreamMissing(fault) }
    }

    private func perform(_ step: Machine.Step) {
        switch step {
        case .none: break
        case .hand(let connection, let waiter, let isReused):
            waiter.upstreamArrived(connection, isReused: isReused)
        case .connect(let deadline): connect(until: deadline)
        case .close(let connection): connection.close()
        }
    }

    private func connect(until deadline: NIODeadline) {
        connector.connect(for: self, until: deadline) { result in
            switch result {
            case .success(let connection):
                // By TLS the handler may still say that it won't.
                if connection.security == nil { self.trouble.succeeded() }
                connection.isConnected = true
                self.perform(self.machine.connected(connection, at: self.clock.now))
            case .failure(let error):
                self.trouble.failed(error.cause, of: self.handler(at: error.address), at: self.clock.now)
                let fault = Exchange.Fault(connecting: error.cause)
                self.perform(self.machine.connectFailed(fault, at: self.clock.now))
            }
        }
    }
}
