// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix
import Redis
import TLS

/// Makes a loop's connections to the handler, at whichever of its addresses takes them.
final class UpstreamConnector {
    typealias Completion = (Result<UpstreamConnection, Failure>) -> Void
    /// Why there is no connection.
    struct Failure: Error {
        let cause: any Error
        /// Nil where none was tried.
        let address: SocketAddress?

        fileprivate init(_ attempt: UpstreamAttempt) {
            cause = attempt.error
            address = attempt.failedAt
        }
    }
    /// Makes the channel of a connection, within a time.
    typealias Dial = (UpstreamConnection, SocketAddress, UpstreamPatience) -> EventLoopFuture<any Channel>

    /// What the kernel may hold for us behind our back: on FIN the channel reads all of it without being asked.
    private static let receiveBuffer: SocketOptionValue = 256 * 1024
    private static let secondTry = TimeAmount.milliseconds(10)
    /// Of NIO's timer, which counts time in which the process stands still: longer than any that may be set.
    private static let unbounded = TimeAmount.hours(24 * 366)

    private let eventLoop: any EventLoop
    private let clock: LoopClock
    private let dial: Dial
    private let resolver: UpstreamResolver?
    private let responseHeadLimit: Int
    private var targets: UpstreamTargets
    private var isClosed = false
    /// For how long the process has stood still, all in all: none of it counts.
    private var standstill = TimeAmount.zero
    /// Of those that are being made.
    private var dialling: [UpstreamPatience] = []
    /// They have tried all addresses, and wait for others.
    private var asking: [(attempt: UpstreamAttempt, pool: UpstreamPool, then: Completion)] = []

    /// - Parameters:
    ///   - resolver: nil where the handler has no name.
    ///   - dial: nil for sockets.
    init(
        configuration: Snapshot.Upstream, resolver: UpstreamResolver?, on eventLoop: any EventLoop, clock: LoopClock,
        dial: Dial? = nil
    ) {
        self.eventLoop = eventLoop
        self.clock = clock
        let security = configuration.security
        self.dial = dial ?? { Self.dial($0, at: $1, within: $2, by: security, on: eventLoop) }
        self.resolver = resolver
        responseHeadLimit = configuration.responseHeadLimit
        targets = UpstreamTargets(configuration.fixedAddress.map { [$0] } ?? [])
    }

    /// `then` is called once, perhaps before this returns, and with a failure no later than a tick after `deadline`.
    func connect(for pool: UpstreamPool, until deadline: NIODeadline, _ then: @escaping Completion) {
        go(on: UpstreamAttempt(until: deadline - standstill), for: pool, then)
    }

    /// As all deadlines here have it.
    private func readClock() -> NIODeadline { clock.read() - standstill }

    /// The process stood still.
    func shift(by excess: TimeAmount) {
        standstill = standstill + excess
    }

    /// All addresses that the name has now.
    func resolved(to addresses: [SocketAddress]) {
        targets.replace(with: addresses)
        let waiting = asking
        asking = []
        for (attempt, pool, then) in waiting { go(on: attempt, for: pool, then) }
    }

    /// A name server takes its time; who wants a connection has less.
    func expire(at now: NIODeadline) {
        let now = now - standstill
        for patience in dialling where patience.deadline <= now { patience.runOut() }
        guard asking.contains(where: { $0.attempt.deadline <= now }) else { return }
        let late = asking.filter { $0.attempt.deadline <= now }
        asking.removeAll { $0.attempt.deadline <= now }
        for (attempt, _, then) in late { then(.failure(Failure(attempt))) }
    }

    /// Nothing is begun from now on.
    func close() {
        isClosed = true
        // Nobody looks at the time any more.
        let now = readClock()
        for patience in dialling {
            eventLoop.assumeIsolated().scheduleTask(in: patience.deadline - now) { patience.runOut() }
        }
        let waiting = asking
        asking = []
        for (attempt, _, then) in waiting { then(.failure(Failure(attempt))) }
    }

    private func go(on attempt: UpstreamAttempt, for pool: UpstreamPool, _ then: @escaping Completion) {
        guard !isClosed else { return then(.failure(Failure(attempt))) }
        var attempt = attempt
        switch attempt.next(of: targets, at: readClock()) {
        case .connect(let target, let time):
            connect(to: target, within: time, for: pool) { result in
                switch result {
                case .success(let connection):
                    self.targets.worked(target)
                    then(.success(connection))
                case .failure(let error):
                    self.failed(target, error, attempt, for: pool, then)
                }
            }
        case .ask:
            guard let resolver, resolver.refresh(at: clock.read()) else { return then(.failure(Failure(attempt))) }
            asking.append((attempt, pool, then))
        case .giveUp: then(.failure(Failure(attempt)))
        }
    }

    private func failed(
        _ target: UpstreamTarget, _ error: any Error, _ attempt: UpstreamAttempt, for pool: UpstreamPool,
        _ then: @escaping Completion
    ) {
        var attempt = attempt
        // A Unix socket whose queue is full doesn't let anybody wait, as TCP does.
        if (error as? IOError)?.errnoCode == EAGAIN, readClock() + Self.secondTry < attempt.deadline {
            attempt.waits(because: error)
            eventLoop.assumeIsolated().scheduleTask(in: Self.secondTry) { [attempt] in
                self.go(on: attempt, for: pool, then)
            }
            return
        }
        attempt.failed(target, error)
        targets.failed(target)
        go(on: attempt, for: pool, then)
    }

    private func connect(
        to target: UpstreamTarget, within time: TimeAmount, for pool: UpstreamPool,
        _ then: @escaping (Result<UpstreamConnection, any Error>) -> Void
    ) {
        let connection = UpstreamConnection(pool: pool, target: target, headLimit: responseHeadLimit)
        let patience = UpstreamPatience(time, until: readClock() + time)
        dialling.append(patience)
        dial(connection, target.address, patience).assumeIsolated().whenComplete { result in
            patience.settle()
            self.dialling.removeAll { $0 === patience }
            then(result.map { _ in connection }.mapError(patience.reason))
        }
    }

    private static func dial(
        _ connection: UpstreamConnection, at address: SocketAddress, within patience: UpstreamPatience,
        by security: UpstreamSecurity?, on eventLoop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        guard let security else {
            return dial([connection], at: address, within: patience, on: eventLoop)
        }
        let secured: SecuredConnection
        do {
            secured = try security.connection()
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
        let promise = eventLoop.makePromise(of: (any Channel).self)
        let handshake = UpstreamHandshake(secured, for: connection, within: patience, promise)
        dial(secured.handlers + [handshake], at: address, within: patience, on: eventLoop).assumeIsolated()
            .whenFailure { handshake.fail($0) }
        return promise.futureResult
    }

    private static func dial(
        _ handlers: [any ChannelHandler], at address: SocketAddress, within patience: UpstreamPatience,
        on eventLoop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        // The initializer may run later, but on this loop.
        let bound = NIOLoopBound((handlers: handlers, patience: patience), eventLoop: eventLoop)
        var bootstrap = ClientBootstrap(group: eventLoop)
        // A request may wait for its answer without end, on a connection on which nothing comes.
        if !address.isUnix { bootstrap = bootstrap.keptAlive(idle: 60, interval: 15, count: 4) }
        return
            bootstrap
            .connectTimeout(unbounded)
            .channelOption(.socketOption(.so_rcvbuf), value: receiveBuffer)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: Loop.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    bound.value.patience.whenOver { channel.close(promise: nil) }
                    try channel.setReadBuffers()
                    try channel.pipeline.syncOperations.addHandlers(bound.value.handlers)
                }
            }
            .connect(to: address)
    }
}
