// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import NIOPosix

/// A loop's way to Redis: one pipelined connection that is made again whenever it is lost.
///
/// 1. A command sent while there is no connection waits for one within its own deadline.
/// 2. A new connection authenticates, selects its database, loads its scripts and passes the owner's `onConnect` check
///    before any command is sent on it.
/// 3. Lost or refused, it is made again after 10 ms, then twice as long each time up to half a second, each ± 50 %, so that
///    a fleet doesn't come back in one moment.
///
/// It lives on its event loop and is called there alone.
package final class RedisConnection {
    package typealias Completion = (Result<RedisReply, RedisError>) -> Void
    /// Judges a new connection through the given function, which sends on it; a failure closes it.
    package typealias ConnectCheck = (
        _ send: @escaping (RedisCommand, @escaping Completion) -> Void,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) -> Void

    package struct Configuration: Sendable {
        /// Commands that may wait, for a connection or for replies.
        package var longestQueue = 10_000
        /// Bytes of one reply.
        package var longestReply = 1024 * 1024
        /// For the connect and for everything before the first command.
        package var connectTimeout = TimeAmount.seconds(1)
        /// Without any reply for this long while one is due, the peer is taken for gone.
        package var silence = TimeAmount.milliseconds(1500)
        package var shortestBackoff = TimeAmount.milliseconds(10)
        package var longestBackoff = TimeAmount.milliseconds(500)

        package init() {}
    }

    private struct Pending {
        var command: RedisCommand
        var deadline: NIODeadline
        var completion: Completion
    }

    private enum State {
        case idle
        case connecting
        /// Connected, not yet fit for commands; `since` bounds how long that may take.
        case preparing(RedisChannelHandler, since: NIODeadline)
        case ready(RedisChannelHandler)
        case waiting(until: NIODeadline)
        case closed
    }

    private let endpoint: RedisEndpoint
    private let eventLoop: any EventLoop
    private let scripts: [RedisScript]
    private let configuration: Configuration
    private let onConnect: ConnectCheck?
    private let logger: Logger
    private var state = State.idle
    private var pending = CircularBuffer<Pending>()
    private var backoff: TimeAmount
    private var now = NIODeadline.now()
    private var wasReported = false
    private var closePromise: EventLoopPromise<Void>?

    /// Called when `isReady` has changed.
    package var onStateChange: ((Bool) -> Void)?
    /// Why there is no connection; nil while there is one.
    package private(set) var lastFailure: RedisError?

    package init(
        endpoint: RedisEndpoint, on eventLoop: any EventLoop, scripts: [RedisScript] = [],
        configuration: Configuration = Configuration(), onConnect: ConnectCheck? = nil, logger: Logger
    ) {
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.scripts = scripts
        self.configuration = configuration
        self.onConnect = onConnect
        self.logger = logger
        backoff = configuration.shortestBackoff
    }

    /// Commands are sent at once: connected, authenticated, scripts loaded, check passed.
    package var isReady: Bool {
        if case .ready = state { true } else { false }
    }

    package func start() {
        guard case .idle = state else { return }
        connect()
    }

    /// Answers everybody with `.shutdown`; resolves when the socket is closed.
    package func close() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let previous = state
        state = .closed
        for waiter in takePending() { waiter.completion(.failure(.shutdown)) }
        switch previous {
        case .preparing(let handler, _), .ready(let handler):
            closePromise = promise
            handler.close(.shutdown)
        case .idle, .connecting, .waiting, .closed:
            promise.succeed()
        }
        return promise.futureResult
    }

    // MARK: Commands

    /// `completion` is called exactly once, on the loop: with the reply, with the server's error as `.server`, or with what
    /// stood in the way. After `.timeout` and `.connectionClosed` the command may have been applied.
    package func send(_ command: RedisCommand, deadline: NIODeadline, _ completion: @escaping Completion) {
        switch state {
        case .ready(let handler):
            handler.send(command, deadline: deadline, at: now, completion)
        case .closed:
            completion(.failure(.shutdown))
        case .idle, .connecting, .preparing, .waiting:
            guard pending.count < configuration.longestQueue else { return completion(.failure(.overloaded)) }
            pending.append(Pending(command: command, deadline: deadline, completion: completion))
        }
    }

    /// Ends what is out of time. The owner's tick calls it, every 10 ms: no timer per command.
    package func expire(now: NIODeadline) {
        self.now = now
        expirePending()
        switch state {
        case .ready(let handler):
            if let oldest = handler.expire(at: now), now - oldest > configuration.silence {
                handler.close(.connectionClosed("no reply for \(configuration.silence.nanoseconds / 1_000_000) ms"))
            }
        case .preparing(let handler, let since):
            _ = handler.expire(at: now)
            if now - since > configuration.connectTimeout { handler.close(.notConnected("handshake timed out")) }
        case .waiting(let until):
            if now >= until { connect() }
        case .idle, .connecting, .closed: break
        }
    }

    private func expirePending() {
        guard pending.contains(where: { $0.deadline <= now }) else { return }
        let late = pending.filter { $0.deadline <= now }
        pending.removeAll { $0.deadline <= now }
        let reason = lastFailure.map { "\($0)" } ?? "connecting"
        for waiter in late { waiter.completion(.failure(.notConnected(reason))) }
    }

    private func takePending() -> CircularBuffer<Pending> {
        defer { pending.removeAll() }
        return pending
    }

    // MARK: Connecting

    private func connect() {
        state = .connecting
        let handler = RedisChannelHandler(
            longestReply: configuration.longestReply, longestQueue: configuration.longestQueue
        ) { error in self.lost(error) }
        let bound = NIOLoopBound(handler, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(configuration.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
        let connecting =
            switch endpoint.address {
            case .tcp(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success: self.connected(handler)
            case .failure(let error): self.lost(.notConnected("\(error)"))
            }
        }
    }

    private func connected(_ handler: RedisChannelHandler) {
        guard case .connecting = state else { return handler.close(.shutdown) }
        state = .preparing(handler, since: .now())
        handshake(handler)
    }

    /// AUTH, SELECT and every SCRIPT LOAD go out in one write; the check follows when all have answered.
    private func handshake(_ handler: RedisChannelHandler) {
        let sentAt = NIODeadline.now()
        let deadline = sentAt + configuration.connectTimeout
        var outstanding = 1
        var failure: RedisError?
        func settle(_ error: RedisError?) {
            if failure == nil { failure = error }
            outstanding -= 1
            guard outstanding == 0 else { return }
            if let failure { handler.close(failure) } else { self.check(handler, deadline: deadline) }
        }
        for command in Self.greeting(for: endpoint) {
            outstanding += 1
            handler.send(command, deadline: deadline, at: sentAt) { settle($0.failure) }
        }
        for script in scripts {
            outstanding += 1
            handler.load(script, deadline: deadline, at: sentAt) { settle($0.failure) }
        }
        settle(nil)
    }

    /// Who we are and which database is ours, as commands.
    static func greeting(for endpoint: RedisEndpoint) -> [RedisCommand] {
        var commands: [RedisCommand] = []
        if let password = endpoint.password {
            var auth = RedisCommand("AUTH")
            if let username = endpoint.username { auth.append(username) }
            auth.append(password)
            commands.append(auth)
        }
        if endpoint.database != 0 {
            var select = RedisCommand("SELECT")
            select.append(Int64(endpoint.database))
            commands.append(select)
        }
        return commands
    }

    private func check(_ handler: RedisChannelHandler, deadline: NIODeadline) {
        guard let onConnect else { return ready(handler) }
        let sentAt = now
        onConnect({ command, completion in
            handler.send(command, deadline: deadline, at: sentAt, completion)
        }) { verdict in
            switch verdict {
            case .success: self.ready(handler)
            case .failure(let error): handler.close(error)
            }
        }
    }

    private func ready(_ handler: RedisChannelHandler) {
        guard case .preparing(let current, _) = state, current === handler else { return }
        state = .ready(handler)
        backoff = configuration.shortestBackoff
        lastFailure = nil
        wasReported = false
        logger.info("redis connected", metadata: ["redis.endpoint": "\(endpoint)"])
        for waiter in takePending() { send(waiter.command, deadline: waiter.deadline, waiter.completion) }
        onStateChange?(true)
    }

    private func lost(_ error: RedisError) {
        if case .closed = state {
            closePromise?.succeed()
            closePromise = nil
            return
        }
        let wasReady = isReady
        lastFailure = error
        state = .waiting(until: .now() + jittered(backoff))
        backoff = min(backoff * 2, configuration.longestBackoff)
        if !wasReported {
            // Once an outage, not once an attempt.
            wasReported = true
            logger.error(
                "redis unavailable", metadata: ["redis.endpoint": "\(endpoint)", "error": "\(error)"])
        }
        if wasReady { onStateChange?(false) }
    }

    private func jittered(_ amount: TimeAmount) -> TimeAmount {
        .nanoseconds(Int64.random(in: amount.nanoseconds / 2...amount.nanoseconds * 3 / 2))
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
