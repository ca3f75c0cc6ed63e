// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import Logging
package import NIOCore

/// A loop's way to Redis: one pipelined connection that is made again whenever it is lost.
///
/// 1. A command sent while there is no connection waits for one within its own deadline, the first one as any other, but only
///    until an attempt is refused: from then on, and until one succeeds, nobody waits. An attempt whose time is over is no
///    refusal. A command that was still to leave when its connection was lost waits as well.
/// 2. A new connection is greeted, which says who it is and who answers, and passes the owner's `onConnect` check before any
///    command is sent on it.
/// 3. A server that owes a reply and says nothing in time for `silence` is taken for gone: its host may be. Until then its
///    commands time out one by one, and `longestQueue` bounds what piles up.
/// 4. Lost, it is made again within 20 ms, refused within 100, then after up to twice as long each time up to half a second,
///    jittered so that a fleet doesn't come back in one moment. Closed after a second in which nothing was asked it is made
///    again at once, and no operator is told: servers close connections that idle.
///
/// 5. Where sentinels are named it follows them (``PrimaryWatch``): when they name another primary the connection ends at
///    once, however well it works, and those that wait for an answer there are told so; the next one is made at once.
///
/// It lives on its event loop and is called there alone. Who starts it has to close it.
package final class RedisConnection {
    package typealias Completion = (Result<RedisReply, RedisError>) -> Void
    package typealias Late = (RedisReply) -> Void
    /// Judges a new connection through the given function, which sends on it; a failure closes it.
    package typealias ConnectCheck = (
        _ send: @escaping (RedisCommand, @escaping Completion) -> Void,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) -> Void

    package struct Configuration: Sendable {
        /// Commands that may wait for a connection, and as many for replies.
        var longestQueue = 10_000
        /// Bytes of one reply.
        var longestReply = 1024 * 1024
        /// For the connect, once more for everything before the first command, and by TLS once more for the handshake.
        package var connectTimeout = TimeAmount.milliseconds(500)
        /// Without a word for this long while a reply is due, the server is taken for gone.
        var silence = TimeAmount.milliseconds(1500)
        /// The longest wait before connecting anew after a single loss, and after the first attempt that failed; the shortest of
        /// both is none, and that of the others half of theirs.
        var afterLoss = TimeAmount.milliseconds(20)
        var shortestBackoff = TimeAmount.milliseconds(100)
        var longestBackoff = TimeAmount.milliseconds(500)

        package init() {}

        /// From the connect to the first command.
        fileprivate func preparation(of endpoint: RedisEndpoint) -> TimeAmount {
            endpoint.security == nil ? connectTimeout : connectTimeout * 2
        }
    }

    private struct Waiter {
        let command: RedisCommand
        var deadline: NIODeadline
        let late: Late?
        let completion: Completion
    }

    /// Its user and password may change.
    private var endpoint: RedisEndpoint
    private let eventLoop: any EventLoop
    private let scripts: [RedisScript]
    private let configuration: Configuration
    private let onConnect: ConnectCheck?
    /// Called when sentinels name another server, at which nothing has failed yet.
    private let onMove: (() -> Void)?
    private let logger: Logger
    private var machine: StateMachine<RedisChannelHandler>
    private var waiters = CircularBuffer<Waiter>()
    private var pace = TickPace()
    private var endings: [EventLoopPromise<Void>] = []

    /// Nil where no sentinels are named, and before the start and after the end.
    private var following: (watch: PrimaryWatch, follower: Int)?
    /// Where the last attempt to connect has led; of several the last one counts.
    private var server: ServerAddress?
    private var attempt = 0
    /// Nobody has told yet where the primary is.
    private var awaitsPrimary = false

    /// An attempt to connect was refused, and none has succeeded since.
    package private(set) var isRefused = false

    /// Called when `isReady` has changed.
    var onStateChange: ((Bool) -> Void)?
    /// Why there is no connection; nil while there is one.
    package private(set) var lastFailure: RedisError?

    package init(
        endpoint: RedisEndpoint, on eventLoop: any EventLoop, scripts: [RedisScript] = [],
        configuration: Configuration = Configuration(), onConnect: ConnectCheck? = nil,
        onMove: (() -> Void)? = nil, logger: Logger
    ) {
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.scripts = scripts
        self.configuration = configuration
        self.onConnect = onConnect
        self.onMove = onMove
        self.logger = logger
        machine = StateMachine(
            .init(
                preparation: configuration.preparation(of: endpoint), silence: configuration.silence,
                afterLoss: configuration.afterLoss, shortestBackoff: configuration.shortestBackoff,
                longestBackoff: configuration.longestBackoff))
    }

    /// Commands are sent at once: connected, authenticated, scripts loaded, check passed.
    package var isReady: Bool { machine.ready != nil }

    package func start() {
        guard machine.start() else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        following = PrimaryWatch.follow(endpoint, on: eventLoop, logger: logger) { bound.value.lookForPrimary() }
        connect()
    }

    /// Answers everybody with `.shutdown`; resolves when the socket is closed.
    package func close() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        endings.append(promise)
        let waiting = takeWaiters()
        following.map { $0.watch.leave($0.follower) }
        following = nil
        switch machine.close() {
        case .close(let handler): handler.close(.shutdown)
        case .await where awaitsPrimary: lost(nil, .shutdown)
        case .await: break
        case .done: ended()
        }
        for waiter in waiting { waiter.completion(.failure(.shutdown)) }
        return promise.futureResult
    }

    // MARK: Commands

    /// `completion` is called exactly once, on the loop: with the reply, with the server's error as `.server`, or with what
    /// stood in the way. After `.timeout` and `.connectionClosed` the command may have been applied.
    ///
    /// - Parameter late: told the reply if it comes after `.timeout`, on the same connection and beyond doubt.
    package func send(
        _ command: consuming RedisCommand, deadline: NIODeadline, late: consuming Late? = nil,
        _ completion: consuming @escaping Completion
    ) {
        switch machine.state {
        case .ready(let handler, _) where handler.isOpen:
            handler.send(command, deadline: deadline, late: late, completion)
        case .closing, .closed:
            completion(.failure(.shutdown))
        // By TLS a connection that is given up takes its time to end.
        case .idle, .connecting, .preparing, .ready, .waiting:
            guard !isRefused else { return completion(.failure(notConnected)) }
            if case .waiting(let next) = machine.state, next >= deadline {
                return completion(.failure(notConnected))
            }
            guard waiters.count < configuration.longestQueue else { return completion(.failure(.overloaded)) }
            waiters.append(Waiter(command: command, deadline: deadline, late: late, completion: completion))
        }
    }

    /// Ends what is out of time. The owner's tick calls it: no timer per command.
    package func expire(now: NIODeadline, having worked: TimeAmount = .workedByThisThread) {
        let tick = pace.tick(at: now, having: worked)
        if tick.excess > .zero { shift(by: tick.excess) }
        guard tick.expires else { return }
        expireWaiters(at: now)
        switch machine.state {
        case .preparing(let handler, _), .ready(let handler, _): handler.expire(at: now)
        case .idle, .connecting, .waiting, .closing, .closed: break
        }
        switch machine.tick(at: now, silence: \.silence) {
        case .none: break
        case .connect: connect()
        case .giveUp(let handler, let error): handler.close(error)
        }
    }

    /// A server that refuses user or password leaves the connection as it was; the next one is made with them. Certificates are
    /// for connections to come.
    package func authenticate(as endpoint: RedisEndpoint) {
        assert(endpoint.isSameDatabase(as: self.endpoint), "Another Redis is another connection")
        let former = self.endpoint
        self.endpoint = endpoint
        following?.watch.go(by: endpoint)
        guard !endpoint.hasCredentials(of: former), let handler = machine.ready,
            let authentication = endpoint.authentication
        else { return }
        handler.send(authentication, deadline: eventLoop.now + configuration.connectTimeout) { result in
            guard case .failure(.server(let line)) = result else { return }
            let error = endpoint.withoutPassword(.server(line))
            self.logger.warning(
                "redis refuses another password: going on with the connection as it was",
                metadata: ["redis.endpoint": "\(endpoint)", "redis.error": "\(error)"])
        }
    }

    /// A server or proxy that has lost one reply, or given one twice, is out of step from there on: each is another command's.
    /// While replies are due all the time nothing else tells.
    package func renew(because error: RedisError) {
        machine.ready?.close(error)
    }

    package var commandsInFlight: Int { machine.ready?.commandsInFlight ?? waiters.count }

    package var isAtRest: Bool { machine.ready?.isIdle == true }

    package func rest() {
        pace.rest()
    }

    private func shift(by excess: TimeAmount) {
        for index in waiters.indices { waiters[index].deadline = waiters[index].deadline + excess }
        machine.shift(by: excess)
        switch machine.state {
        case .preparing(let handler, _), .ready(let handler, _): handler.shift(by: excess)
        case .idle, .connecting, .waiting, .closing, .closed: break
        }
    }

    private func expireWaiters(at now: NIODeadline) {
        guard waiters.contains(where: { $0.deadline <= now }) else { return }
        let late = waiters.filter { $0.deadline <= now }
        waiters.removeAll { $0.deadline <= now }
        let error = notConnected
        for waiter in late { waiter.completion(.failure(error)) }
    }

    private func takeWaiters() -> CircularBuffer<Waiter> {
        defer { waiters.removeAll() }
        return waiters
    }

    private var notConnected: RedisError {
        if case .notConnected = lastFailure, let lastFailure { return lastFailure }
        return .notConnected(lastFailure.map { "\($0)" } ?? "still connecting")
    }

    // MARK: Connecting

    private func connect() {
        var endpoint = endpoint
        if let watch = following?.watch {
            switch watch.answer {
            case .success(let primary)?:
                server = primary.address
                endpoint = endpoint.server(at: primary.address)
            case .failure(let error)?:
                server = nil
                return lost(nil, error)
            case nil:
                awaitsPrimary = true
                return
            }
        }
        attempt += 1
        let attempt = attempt
        endpoint.connect(
            on: eventLoop, timeout: configuration.connectTimeout, longestReply: configuration.longestReply,
            longestQueue: configuration.longestQueue
        ).assumeIsolated().whenComplete { result in
            guard attempt == self.attempt else {
                if case .success(let handler) = result { handler.value.close(.shutdown) }
                return
            }
            switch result {
            case .success(let handler): self.connected(handler.value)
            case .failure(let error):
                self.lost(nil, RedisError(connecting: error), isLate: RedisError.isOutOfTime(error))
            }
        }
    }

    /// The sentinels have told something else than before.
    private func lookForPrimary() {
        guard let answer = following?.watch.answer else { return }
        if awaitsPrimary {
            awaitsPrimary = false
            return connect()
        }
        guard case .success(let primary) = answer, primary.address != server else { return }
        let wasReady = isReady
        guard case .connect(insteadOf: let former) = machine.move() else { return }
        (lastFailure, isRefused) = (nil, false)
        if wasReady { onStateChange?(false) }
        onMove?()
        connect()
        // An old primary may go on answering: what it takes is lost.
        former?.close(.connectionClosed("the primary is another one now"))
    }

    private func connected(_ handler: RedisChannelHandler) {
        let arrival = machine.connected(handler, at: eventLoop.now)
        handler.isLed = following != nil
        handler.whenClosed { error in self.lost(handler, error) }
        switch arrival {
        case .prepare: prepare(handler)
        case .discard: handler.close(.shutdown)
        }
    }

    /// All of it has the time that the machine gives it, which moves where the process stood still.
    private func prepare(_ handler: RedisChannelHandler) {
        handler.greet(endpoint, loading: scripts, isCautious: isRefused, before: .distantFuture) { greeted in
            switch greeted {
            case .success: self.check(handler)
            case .failure(let error): handler.close(error)
            }
        }
    }

    private func check(_ handler: RedisChannelHandler) {
        guard let onConnect else { return ready(handler) }
        onConnect({ command, completion in
            handler.send(command, deadline: .distantFuture, completion)
        }) { verdict in
            switch verdict {
            case .success: self.ready(handler)
            case .failure(let error): handler.close(error)
            }
        }
    }

    private func ready(_ handler: RedisChannelHandler) {
        let now = eventLoop.now
        guard machine.prepared(handler, at: now) else { return }
        logger.debug("redis connection made", metadata: ["redis.endpoint": "\(endpoint)"])
        (lastFailure, isRefused) = (nil, false)
        onStateChange?(true)
        let error = notConnected
        for waiter in takeWaiters() {
            // What nobody waits for any more would be charged for nothing.
            if waiter.deadline <= now {
                waiter.completion(.failure(error))
            } else {
                send(waiter.command, deadline: waiter.deadline, late: waiter.late, waiter.completion)
            }
        }
    }

    private func lost(_ handler: RedisChannelHandler?, _ error: RedisError, isLate: Bool = false) {
        following?.watch.doubt()
        let unsent = handler?.takeUnsent() ?? []
        let idleTime = if case .connectionClosed = error, let handler { handler.idleTime } else { TimeAmount.zero }
        let loss = machine.lost(
            handler, at: eventLoop.now, idle: idleTime, isLate: isLate, jitter: .random(in: 0...1))
        switch loss {
        case .none: break
        case .closed: ended()
        case .renews:
            logger.debug(
                "redis closed an idle connection",
                metadata: ["redis.endpoint": "\(endpoint)", "redis.error": "\(error)"])
            onStateChange?(false)
            connect()
        case .reconnects(let failure):
            // Once an outage and once more for each new reason, not once an attempt.
            if error != lastFailure {
                logger.debug(
                    "redis connection failed",
                    metadata: ["redis.endpoint": "\(endpoint)", "redis.error": "\(error)"])
            }
            lastFailure = error
            switch failure {
            case .loss: onStateChange?(false)
            case .delay: break
            case .refusal: refuse()
            }
        }
        for (command, slot) in unsent {
            guard let completion = slot.end() else { continue }
            send(command, deadline: slot.deadline, late: slot.late, completion)
        }
    }

    private func refuse() {
        isRefused = true
        let error = notConnected
        for waiter in takeWaiters() { waiter.completion(.failure(error)) }
    }

    private func ended() {
        let endings = endings
        self.endings = []
        for promise in endings { promise.succeed() }
    }
}
