// SPDX-License-Identifier: Apache-2.0

package import Admission
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Redis
package import Settings
package import Telemetry

/// The data plane as one service: loops and listeners, and how they start and end.
///
/// 1. The listeners open when every loop's gate is ready and the handler's name was looked for, or one second after start, so
///    that a daemon started beside a dead Redis or name server still answers. The sidecar is published right before, within
///    the same second.
/// 2. ``drain()`` ends what is under way: no new connection, `Connection: close` on each next response, idle connections
///    closed after a second, whatever is left at `drain.timeout`.
package final class ProxyService: Sendable {
    package enum Availability: Sendable, Equatable {
        case ready, draining
        /// So many loops haven't answered for a second: their requests wait.
        case loopsUnheard(Int, of: Int)
        case redisUnavailable(GateOutage)
        /// The same where `on_failure` has requests go on without Redis.
        case degraded(GateOutage)
        /// The handler's name has no address.
        case upstreamUnresolved
        /// What `openapi` in `routes` names was not read yet.
        case routesUnknown
    }

    private enum Phase { case serving, draining }

    private static let startGrace = Duration.seconds(1)
    private static let startPoll = Duration.milliseconds(10)

    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    let loops: LoopTable
    private let shared: Shared
    private let listeners: Listeners
    private let phase = NIOLockedValueBox(Phase.serving)
    let reports: LoopReports
    let order = SeriesOrder()
    private let droppedLines = DroppedLines()
    private let standing: NIOLockedValueBox<Standing>

    /// What the configuration in force has brought with it, for all loops.
    struct Standing: Sendable {
        var settings: Settings
        var backends: Backends
        /// Nil: off.
        var accessLog: AccessLog?
    }

    // MARK: Start

    /// Starts everything and returns when the listeners are open.
    ///
    /// - Parameters:
    ///   - inherited: sockets that listen already, to be used where they agree with `listen`.
    ///   - traffic: is told what goes on.
    ///   - willListen: waited for before the listeners open; given the id of the database, where Redis was found, and when it
    ///     has to have returned.
    /// - Throws: ``ProxyStartError`` when an address can't be listened on, or why the access log can't be opened.
    package static func start(
        _ settings: Settings, inherited: [InheritedSocket] = [], logger: Logger,
        traffic: TrafficRecorder = TrafficRecorder(),
        willListen: @Sendable (_ database: [UInt8]?, _ deadline: ContinuousClock.Instant) async -> Void = { _, _ in }
    ) async throws -> ProxyService {
        let accessLog = try openAccessLog(settings.log.access, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.loops)
        let snapshot = try Snapshot(settings)
        let shared = Shared(
            snapshot.bounds, traffic: traffic, troubles: Troubles(logger: logger), logger: logger)
        let backends = Backends(settings, logger: logger)
        let standing = Standing(settings: settings, backends: backends, accessLog: accessLog)
        let eventLoops = Array(group.makeIterator())
        let loops = try await LoopTable(on: eventLoops) { eventLoop, index in
            let (clock, share) = (LoopClock(), LoopShare(index: index, count: eventLoops.count))
            let epoch = Epoch(snapshot, backends, of: share, shared, on: eventLoop, clock)
            return Loop(on: eventLoop, epoch, share: share, shared, accessLog: accessLog, clock: clock)
        }
        do {
            backends.resolver?.start(at: .now(), telling: loops)
            _ = try await loops.map { $0.start(among: loops) }
            let deadline = ContinuousClock.now + startGrace
            try await awaitStart(loops, backends.resolver, until: deadline)
            await willListen(backends.instance.id, deadline)
            let listeners = try await Listeners.open(
                settings.listen, inherited: inherited, group: group, loops: loops, trouble: shared.troubles.accepting)
            return ProxyService(
                standing, logger: logger, group: group, loops: loops, shared: shared, listeners: listeners)
        } catch {
            await close(loops, standing, group, logger)
            throw error
        }
    }

    private init(
        _ standing: Standing, logger: Logger, group: MultiThreadedEventLoopGroup, loops: LoopTable, shared: Shared,
        listeners: Listeners
    ) {
        self.standing = NIOLockedValueBox(standing)
        self.logger = logger
        self.group = group
        self.loops = loops
        self.shared = shared
        self.listeners = listeners
        reports = LoopReports(of: loops, timer: MultiThreadedEventLoopGroup.singleton.next())
    }

    /// Where clients connect; the ports are the kernel's where 0 was configured.
    package var addresses: [String] { listeners.addresses }

    /// Of all logs that there were.
    var linesDropped: Int { droppedLines.total(of: current.accessLog) }

    /// The id of the database that requests are counted in; nil until a loop has seen one.
    package var database: [UInt8]? { current.backends.instance.id }

    /// Nil while it can be connected to, as far as the last attempt tells: nobody tries without a request.
    package var upstreamFailure: UpstreamFailure? {
        shared.troubles.connecting.present(of: current.settings.upstream.address)
    }

    var current: Standing { standing.withLockedValue { $0 } }

    var isDraining: Bool { phase.withLockedValue { $0 } == .draining }

    static func openAccessLog(_ access: Settings.Log.Access, logger: Logger) throws(LineSink.Failure) -> AccessLog? {
        switch access {
        case .off: nil
        case .stdout: try AccessLog(.stdout, logger: logger)
        case .file(let path): try AccessLog(.file(path), logger: logger)
        }
    }

    private static func awaitStart(
        _ loops: LoopTable, _ resolver: UpstreamResolver?, until deadline: ContinuousClock.Instant
    ) async throws {
        while ContinuousClock.now < deadline {
            let faults = try await loops.map(\.epoch.gate.fault)
            if resolver?.isAnswered != false, faults.allSatisfy({ $0 == nil }) { return }
            try await Task.sleep(for: startPoll)
        }
    }

    /// Opens the access log anew, for whoever has moved the file away.
    package func reopenLog() {
        current.accessLog?.reopen()
    }

    // MARK: Another configuration

    /// Goes on with other settings: all of them from one moment on, or none (docs/decisions/0018-reload.md). One call at a time,
    /// and none while it drains.
    ///
    /// - Parameter ready: waited for when all else is there; what it throws ends the attempt.
    /// - Throws: ``ReloadError``, or what `ready` throws; everything is as it was then.
    package func reload(_ settings: Settings, ready: () async throws -> Void = {}) async throws {
        let reload = Reload(self.current, to: settings, loops: loops, listeners: listeners, shared: shared)
        let next = try await reload.prepare()
        do {
            try await ready()
            try Task.checkCancellation()
        } catch {
            await reload.discard(next)
            throw error
        }
        standing.withLockedValue { $0 = next.standing }
        await reload.commit(next)
    }

    // MARK: End

    /// Finishes what is under way, within `drain.timeout`, and then stops.
    package func drain() async {
        phase.withLockedValue { $0 = .draining }
        let drain = current.settings.drain
        logger.info("draining")
        do {
            // A balancer needs a moment to see that this one is going.
            if drain.delay > .zero { try await Task.sleep(for: drain.delay) }
            // First, so that whoever finds the listeners closed is told to close by every answer from then on.
            _ = try await loops.map { $0.announceDrain() }
            await listeners.end()
            try await finishRequests(within: drain.timeout)
        } catch {
            logger.error("drain cut short", metadata: ["error": "\(error)"])
        }
        reports.close()
        await Self.close(loops, current, group, logger)
    }

    private func finishRequests(within timeout: Duration) async throws {
        let loops = loops
        let cutter = Task {
            try await Task.sleep(for: timeout)
            _ = try await loops.map { $0.cut() }
        }
        defer { cutter.cancel() }
        try await loops.wait { $0.drain() }
    }

    private static func close(
        _ loops: LoopTable, _ standing: Standing, _ group: MultiThreadedEventLoopGroup, _ logger: Logger
    ) async {
        standing.backends.resolver?.close()
        do {
            try await loops.wait { $0.close() }
            await standing.accessLog?.close()
            try await group.shutdownGracefully()
        } catch {
            logger.error("not closed cleanly", metadata: ["error": "\(error)"])
        }
    }
}

extension UpstreamResolver {
    /// Asks for the first time, and tells the pools that are this handler's, whichever configuration they are of.
    func start(at now: NIODeadline, telling loops: LoopTable) {
        start(at: now) { [weak self] addresses in
            guard let self else { return }
            loops.tell { $0.resolved(to: addresses, by: self) }
        }
    }
}
