// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Redis
import Telemetry

/// Everything one event loop owns: its client connections, the ``Epochs`` that they are served by, its deadlines and its
/// access-log buffer. Loops share nothing but what is ``Shared``; there is no lock and no hop on a request's way.
final class Loop {
    /// Bytes outstanding on a connection at which its other side is no longer read, and at which it is again.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 * 1024, high: 64 * 1024)
    /// A request may be under way on an idle connection when the drain begins.
    private static let drainGrace = TimeAmount.seconds(1)

    let eventLoop: any EventLoop
    let shared: Shared
    let share: LoopShare
    private var epochs: Epochs
    private let clock: LoopClock
    private var pace = TickPace()
    var deadlines: Deadlines

    var correlationIDs = CorrelationIDGenerator()
    var date = DateField()
    private(set) var accessLog: AccessLogBuffer?
    var scratch = Scratch()
    /// Of an answer of our own, whose length stands in its head.
    var body = ByteBuffer()

    var free: FreeCallers

    var metrics = LoopMetrics()
    let traffic: LoopTraffic

    /// All loops, this one among them; to be asked for room. Nil before the start and after the end.
    private(set) var others: LoopTable?
    private var connections: [ObjectIdentifier: HTTP1Connection] = [:]
    /// Between start and end.
    private var ticker: Ticker?
    private var rest: Rest
    private var draining = Draining()

    /// - Parameters:
    ///   - share: of what is the process', what this loop may have.
    ///   - clock: that the epoch has, too.
    init(
        on eventLoop: any EventLoop, _ epoch: Epoch, share: LoopShare, _ shared: Shared, accessLog: AccessLog? = nil,
        clock: LoopClock
    ) {
        self.eventLoop = eventLoop
        epochs = Epochs(epoch)
        self.share = share
        self.shared = shared
        self.clock = clock
        rest = Rest(at: clock.now)
        deadlines = Deadlines(epoch.snapshot.bounds)
        self.accessLog = accessLog.map(AccessLogBuffer.init)
        free = FreeCallers(loops: share.count)
        traffic = LoopTraffic(of: share.index, telling: shared.traffic, at: clock.now)
        traffic.obey(epoch.snapshot.policies, at: clock.now) { GateTotals() }
    }

    func start(among others: LoopTable) {
        self.others = others
        epoch.gate.start()
        let ticker = Ticker(on: eventLoop, every: TickPace.interval) { self.expire(at: self.readClock()) }
        self.ticker = ticker
        ticker.start()
    }

    // MARK: Configurations

    var index: Int { share.index }

    /// By which a request begins now.
    var epoch: Epoch { epochs.current }

    /// Makes the next configuration ready, which nobody goes by yet.
    func prepare(_ snapshot: Snapshot, _ backends: Backends) {
        wake()
        let next = Epoch(snapshot, backends, after: epoch, of: share, shared, on: eventLoop, clock)
        epochs.prepare(next)
        // What is asked for from now on is told to the next one too; what was, it doesn't know.
        if next.pool !== epoch.pool, let known = backends.resolver?.addresses, !known.isEmpty {
            next.pool.resolved(to: known)
        }
        // One that is to take another's place has its connection.
        if next.snapshot.redis != epoch.snapshot.redis { next.gate.start() }
    }

    /// What keeps the next configuration from its Redis.
    var faultOfNext: GateFault? { epochs.next?.gate.fault }

    func discardNext() {
        if let ended = epochs.discard() { end(ended) }
    }

    /// Requests begin by the next configuration from now on; those under way go on by theirs.
    func advance(writingTo log: AccessLog?, keepsLog: Bool) {
        wake()
        epoch.exchanges.empty()
        epochs.advance()
        traffic.obey(epoch.snapshot.policies, at: now) { gateTotals }
        epoch.gate.authenticate(as: epoch.snapshot.redis)
        deadlines.change(to: epoch.snapshot.bounds, at: now)
        if !keepsLog {
            accessLog?.flush()
            accessLog = log.map(AccessLogBuffer.init)
        }
        settleEpochs(at: now)
        for connection in connections.values { connection.endIfLetInNoMore() }
    }

    /// A name of the handler has these addresses.
    func resolved(to addresses: [SocketAddress], by resolver: UpstreamResolver) {
        epochs.forEachPool(of: resolver) { $0.resolved(to: addresses) }
    }

    private func settleEpochs(at now: NIODeadline) {
        guard epochs.areToSettle(at: now) else { return }
        for connection in connections.values { connection.letGoOfFormerEpoch() }
        for ended in epochs.settle() { end(ended) }
    }

    private var gates: [Gate] {
        var gates: [Gate] = []
        epochs.forEachGate { gates.append($0) }
        return gates
    }

    /// Of all gates that it has and had.
    var gateTotals: GateTotals { metrics.totals(of: gates) }

    private func end(_ ended: Epochs.Ended) {
        ended.pool?.close()
        guard let gate = ended.gate else { return }
        metrics.settle(gate, besides: gates)
        // What it counted is written first.
        gate.close().assumeIsolated().whenComplete { _ in withExtendedLifetime(gate) {} }
    }

    // MARK: Connections

    var connectionCount: Int { connections.count }

    /// It was counted.
    func enter(_ connection: HTTP1Connection) {
        connection.isCounted = true
        connections[ObjectIdentifier(connection)] = connection
    }

    func uncount(_ connection: HTTP1Connection) {
        guard connection.isCounted else { return }
        connection.isCounted = false
        shared.ledger.leave(connection.ledgerAddress)
    }

    func forget(_ connection: HTTP1Connection) {
        rest.isOccupied(at: readClock())
        uncount(connection)
        connections[ObjectIdentifier(connection)] = nil
        settleDrain()
    }

    // MARK: Time

    /// As of ``LoopClock``.
    var now: NIODeadline { clock.now }

    func readClock() -> NIODeadline { clock.read() }

    /// A tick: what is overdue ends, and what is done now and then is done.
    func expire(at now: NIODeadline) {
        let worked = TimeAmount.workedByThisThread
        let tick = pace.tick(at: now, having: worked)
        if tick.excess > .zero { shift(by: tick.excess) }
        epochs.forEachGate { $0.expire(now: now, having: worked) }
        guard tick.expires else { return }
        epochs.forEachPool { $0.expire(at: now) }
        while let exchange = deadlines.response.popExpired(at: now) { exchange.responseTimedOut() }
        while let connection = deadlines.head.popExpired(at: now) { connection.headTimedOut() }
        while let exchange = deadlines.body.popExpired(at: now) { exchange.heldBodyTimedOut() }
        while let connection = deadlines.idle.popExpired(at: now) { connection.idleTimedOut() }
        while let connection = deadlines.kept.popExpired(at: now) { connection.idleTimedOut() }
        while let connection = deadlines.linger.popExpired(at: now) { connection.lingerTimedOut() }
        while let connection = deadlines.stall.popExpired(at: now) { connection.lookForStall() }
        while let exchange = deadlines.pace.popExpired(at: now) { exchange.paceExpired() }
        accessLog?.tick(now)
        settleTraffic(at: now)
        // One of the loops does what is to be done once for the process.
        if index == 0 {
            shared.troubles.settle(at: now)
            epoch.resolver?.tick(at: now)
        }
        settleEpochs(at: now)
        if now >= draining.began + Self.drainGrace {
            draining.began = .distantFuture
            for connection in connections.values { connection.closeIfIdle() }
        }
        settleRest(at: now)
    }

    private func settleTraffic(at now: NIODeadline, isLast: Bool = false) {
        guard traffic.isDue(at: now) || isLast else { return }
        let gauges = TrafficSample.Gauges(connections: connections.count, streams: metrics.streams)
        traffic.tell(gauges, hasRequests: metrics.inFlight > 0, at: now) { gateTotals }
    }

    private func settleRest(at now: NIODeadline) {
        if !connections.isEmpty || isDraining { rest.isOccupied(at: now) }
        rest.tick(
            at: now,
            hasNothingToDo: accessLog?.isEmpty != false && epochs.former.isEmpty && epochs.next == nil
                && epoch.gate.isAtRest)
        if rest.isResting {
            pace.rest()
            epoch.gate.rest()
        }
        ticker?.tick(every: rest.interval)
    }

    /// Somebody comes, or the end does: clocks are those of the last tick, and that may be long ago.
    func wake() {
        guard rest.isResting else { return }
        let now = readClock()
        rest.end(at: now)
        ticker?.tick(every: rest.interval)
        expire(at: now)
    }

    private func shift(by excess: TimeAmount) {
        epochs.forEachPool { $0.shift(by: excess) }
        deadlines.shift(by: excess)
        if draining.began < .distantFuture { draining.began = draining.began + excess }
    }

    // MARK: End

    private struct Draining {
        var isUnderWay = false
        var began = NIODeadline.distantFuture
        var end: EventLoopPromise<Void>?
    }

    /// Every answer from now on is its connection's last.
    var isDraining: Bool { draining.isUnderWay }

    func announceDrain() {
        draining.isUnderWay = true
    }

    /// Closes what is idle, a moment later; resolves when the last connection is gone.
    func drain() -> EventLoopFuture<Void> {
        wake()
        let promise = eventLoop.makePromise(of: Void.self)
        draining.began = now
        draining.end = promise
        settleDrain()
        return promise.futureResult
    }

    private func settleDrain() {
        guard connections.isEmpty, let promise = draining.end else { return }
        draining.end = nil
        promise.succeed()
    }

    /// Ends what drain waited for in vain.
    func cut() {
        for connection in connections.values { connection.closeNow() }
    }

    func close() -> EventLoopFuture<Void> {
        settleTraffic(at: readClock(), isLast: true)
        ticker?.stop()
        ticker = nil
        others = nil
        discardNext()
        epochs.forEachPool { $0.close() }
        accessLog?.flush()
        var closed: [EventLoopFuture<Void>] = []
        epochs.forEachGate { closed.append($0.close()) }
        return .andAllComplete(closed, on: eventLoop)
    }
}
