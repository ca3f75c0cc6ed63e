// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Logging
import NIOCore
import Redis
import Telemetry

/// Everything one event loop owns: its client connections, its admission gate with a Redis connection, its upstream pool,
/// its deadlines and its access-log buffer. Shards share nothing; there is no lock and no hop on a request's way.
final class Shard {
    /// Bytes outstanding on a connection at which its other side is no longer read, and at which it is again.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 * 1024, high: 64 * 1024)
    /// How long a connection that is closing listens, so that its last response isn't lost to a reset.
    private static let linger = TimeAmount.seconds(1)
    /// A request may be under way on an idle connection when the drain begins.
    private static let drainGrace = TimeAmount.seconds(1)

    let eventLoop: any EventLoop
    let snapshot: Snapshot
    let gate: Gate
    let troubles: Troubles
    private let clock = LoopClock()
    private var pace = TickPace()
    /// Every answer from now on is its connection's last.
    var isDraining = false
    private var drainBegan = NIODeadline.distantFuture

    var headDeadlines: DeadlineQueue<DownstreamHandler>
    var bodyDeadlines: DeadlineQueue<DownstreamHandler>
    /// Within a body.
    var idleDeadlines: DeadlineQueue<DownstreamHandler>
    /// Between two requests.
    var keptDeadlines: DeadlineQueue<DownstreamHandler>
    var lingerDeadlines: DeadlineQueue<DownstreamHandler>
    /// When it is looked whether clients take what is there for them.
    var stallDeadlines: DeadlineQueue<DownstreamHandler>
    var paceDeadlines: DeadlineQueue<DownstreamHandler>
    var responseDeadlines = DeadlineQueues<DownstreamHandler>()

    var correlationIDs: CorrelationIDGenerator
    var date = DateField()
    let accessLog: AccessLogBuffer?
    /// Where heads are put together; free again once the socket has taken them.
    var scratch: ByteBuffer
    /// Where bodies of our own are, whose length stands before them.
    var body = ByteBuffer()

    /// Of all loops.
    let heldBodies: HeldBodies
    /// Of callers whose requests cost nothing.
    var pacing: Pacing
    var falseStreams = FalseStreams()
    var joinedPlans = JoinedPlans()

    /// One of the loops does what is to be done once for the process.
    private var isFirst: Bool { index == 0 }
    let index: Int
    let ledger: ConnectionLedger
    /// All loops, this one among them; to be asked for room. Nil before the start and after the end.
    var others: ShardTable?
    private let upstreamCapacity: Int
    private var connections: [ObjectIdentifier: DownstreamHandler] = [:]
    private var timer: RepeatedTask?
    private var drained: EventLoopPromise<Void>?
    private(set) lazy var pool = UpstreamPool(
        configuration: snapshot.upstream, capacity: upstreamCapacity,
        connector: UpstreamConnector(
            configuration: snapshot.upstream, resolver: resolver, on: eventLoop, clock: clock),
        clock: clock, trouble: troubles.connecting)
    /// Of all loops; nil where the handler has no name.
    private let resolver: UpstreamResolver?

    /// - Parameters:
    ///   - share: of the process' connections, to clients and to the handler, what this loop may have.
    init(
        eventLoop: any EventLoop, snapshot: Snapshot, share: LoopShare, ledger: ConnectionLedger, instance: Instance,
        late: LateDecisions, outages: Outages, heldBodies: HeldBodies, resolver: UpstreamResolver?,
        accessLog: AccessLog?, troubles: Troubles, logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.heldBodies = heldBodies
        self.resolver = resolver
        self.snapshot = snapshot
        gate = Gate(
            configuration: snapshot.admission, endpoint: snapshot.redis, instance: instance, on: eventLoop,
            logger: logger, recordCapacity: snapshot.cacheEntries, late: late, outages: outages)
        self.accessLog = accessLog.map(AccessLogBuffer.init)
        self.troubles = troubles
        index = share.index
        self.ledger = ledger
        upstreamCapacity = share.of(snapshot.upstream.maxConnections)
        pacing = Pacing(loops: share.count)
        headDeadlines = DeadlineQueue(duration: snapshot.headerTimeout)
        bodyDeadlines = DeadlineQueue(duration: snapshot.bodyTimeout)
        idleDeadlines = DeadlineQueue(duration: snapshot.idleTimeout)
        keptDeadlines = DeadlineQueue(duration: snapshot.idleTimeout)
        lingerDeadlines = DeadlineQueue(duration: Self.linger)
        stallDeadlines = DeadlineQueue(duration: .nanoseconds(max(1, snapshot.stallTimeout.nanoseconds / 4)))
        paceDeadlines = DeadlineQueue(duration: snapshot.stallTimeout)
        correlationIDs = CorrelationIDGenerator()
        scratch = ByteBufferAllocator().buffer(capacity: 2048)
    }

    func start(among others: ShardTable) {
        self.others = others
        gate.start()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleRepeatedTask(initialDelay: TickPace.interval, delay: TickPace.interval) { _ in
            bound.value.expire(at: bound.value.readClock())
        }
    }

    // MARK: Chunks

    /// A payload up to this is copied into one buffer with its framing: three buffers for a byte each cost more than a copy,
    /// in writes and in memory, and whoever sends such chunks chooses how many there are.
    private static let copiedPayload = 1024

    /// Writes a part of a body, which is never empty, in the framing of the side it goes to.
    func frame(_ payload: ByteBuffer, by framing: BodyFraming, _ write: (ByteBuffer) -> Void) {
        guard framing == .chunked else { return write(payload) }
        // A new buffer each time: the socket may hold several at once.
        let isCopied = payload.readableBytes <= Self.copiedPayload
        var buffer = ByteBufferAllocator().buffer(capacity: 16 + (isCopied ? payload.readableBytes : 0))
        buffer.writeChunkStart(payload.readableBytes)
        guard isCopied else {
            write(buffer)
            write(payload)
            return write(Self.chunkEnd)
        }
        buffer.writeImmutableBuffer(payload)
        buffer.writeChunkEnd()
        write(buffer)
    }

    private static let chunkEnd = ByteBuffer(string: "\r\n")

    func lastChunk(_ trailers: ByteBuffer?) -> ByteBuffer {
        guard let trailers else { return Self.plainLastChunk }
        var buffer = ByteBufferAllocator().buffer(capacity: trailers.readableBytes + 8)
        buffer.writeLastChunk(trailers: trailers)
        return buffer
    }

    private static let plainLastChunk = ByteBuffer(string: "0\r\n\r\n")

    // MARK: Connections

    /// It was counted.
    func enter(_ connection: DownstreamHandler) {
        connection.isCounted = true
        connections[ObjectIdentifier(connection)] = connection
    }

    func uncount(_ connection: DownstreamHandler) {
        guard connection.isCounted else { return }
        connection.isCounted = false
        ledger.leave(connection.ledgerAddress)
    }

    func forget(_ connection: DownstreamHandler) {
        uncount(connection)
        connections[ObjectIdentifier(connection)] = nil
        settleDrain()
    }

    // MARK: Time

    /// As of ``LoopClock``.
    var now: NIODeadline { clock.now }

    func readClock() -> NIODeadline { clock.read() }

    private func expire(at now: NIODeadline) {
        let tick = pace.tick(at: now)
        if tick.excess > .zero { shift(by: tick.excess) }
        gate.expire(now: now)
        guard tick.expires else { return }
        pool.expire(at: now)
        while let connection = responseDeadlines.popExpired(at: now) { connection.responseTimedOut() }
        while let connection = headDeadlines.popExpired(at: now) { connection.headTimedOut() }
        while let connection = bodyDeadlines.popExpired(at: now) { connection.heldBodyTimedOut() }
        while let connection = idleDeadlines.popExpired(at: now) { connection.idleTimedOut() }
        while let connection = keptDeadlines.popExpired(at: now) { connection.idleTimedOut() }
        while let connection = lingerDeadlines.popExpired(at: now) { connection.lingerTimedOut() }
        while let connection = stallDeadlines.popExpired(at: now) { connection.lookForStall() }
        while let connection = paceDeadlines.popExpired(at: now) { connection.paceExpired() }
        accessLog?.tick(now)
        if isFirst {
            troubles.settle(at: now)
            resolver?.tick(at: now)
        }
        if now >= drainBegan + Self.drainGrace {
            drainBegan = .distantFuture
            for connection in connections.values { connection.closeIfIdle() }
        }
    }

    private func shift(by excess: TimeAmount) {
        pool.shift(by: excess)
        responseDeadlines.shift(by: excess)
        headDeadlines.shift(by: excess)
        bodyDeadlines.shift(by: excess)
        idleDeadlines.shift(by: excess)
        keptDeadlines.shift(by: excess)
        lingerDeadlines.shift(by: excess)
        stallDeadlines.shift(by: excess)
        paceDeadlines.shift(by: excess)
        if drainBegan < .distantFuture { drainBegan = drainBegan + excess }
    }

    // MARK: End

    /// Closes what is idle, a moment later; resolves when the last connection is gone.
    func drain() -> EventLoopFuture<Void> {
        drainBegan = now
        let promise = eventLoop.makePromise(of: Void.self)
        drained = promise
        settleDrain()
        return promise.futureResult
    }

    private func settleDrain() {
        guard connections.isEmpty, let promise = drained else { return }
        drained = nil
        promise.succeed()
    }

    /// Ends what drain waited for in vain.
    func cut() {
        for connection in connections.values { connection.closeNow() }
    }

    func close() -> EventLoopFuture<Void> {
        timer?.cancel()
        others = nil
        pool.close()
        accessLog?.flush()
        return gate.close()
    }
}

/// One loop's part of a bound that is the process': divided evenly, what is left over goes to the first. At least one: a loop
/// that may have none would refuse every connection it is handed.
struct LoopShare: Sendable {
    let index: Int
    let count: Int

    func of(_ total: Int) -> Int {
        max(1, total / count + (index == 0 ? total % count : 0))
    }
}
