// SPDX-License-Identifier: Apache-2.0

package import Admission
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Redis
package import Settings
import Telemetry

/// The data plane as one service: loops and listeners, and how they start and end.
///
/// 1. The listeners open when every loop's gate is ready and the handler's name was looked for, or one second after start, so
///    that a daemon started beside a dead Redis or name server still answers. The sidecar is published right before, within
///    the same second.
/// 2. ``drain()`` ends what is under way: no new connection, `Connection: close` on each next response, idle connections
///    closed after a second, whatever is left at `drain.timeout`.
package final class ProxyService: Sendable {
    package enum Availability: Sendable, Equatable {
        case ready, starting, draining
        case redisUnavailable(GateFault)
        /// The handler's name has no address.
        case upstreamUnresolved
    }

    private enum Phase { case serving, draining }

    private static let startGrace = Duration.seconds(1)
    private static let startPoll = Duration.milliseconds(10)

    private let settings: Settings
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let loops: LoopTable
    private let accessLog: AccessLog?
    private let listeners: Listeners
    private let phase = NIOLockedValueBox(Phase.serving)
    private let resolver: UpstreamResolver?
    private let instance: Instance

    // MARK: Start

    /// Starts everything and returns when the listeners are open.
    ///
    /// - Parameters:
    ///   - inherited: sockets that listen already, to be used where they agree with `listen`.
    ///   - willListen: waited for before the listeners open; given the id of the database, where Redis was found, and when it
    ///     has to have returned.
    /// - Throws: ``ProxyStartError`` when an address can't be listened on, or why the access log can't be opened.
    package static func start(
        _ settings: Settings, inherited: [InheritedSocket] = [], logger: Logger,
        willListen: @Sendable (_ database: [UInt8]?, _ deadline: ContinuousClock.Instant) async -> Void = { _, _ in }
    ) async throws -> ProxyService {
        let accessLog = try openAccessLog(settings.log.access, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.loops)
        let snapshot = try Snapshot(settings)
        let troubles = Troubles(logger: logger)
        let resolver = UpstreamResolver(settings.upstream, trouble: troubles.resolving, logger: logger)
        let shared = Shared(
            snapshot.bounds, resolver: resolver, accessLog: accessLog, troubles: troubles, logger: logger)
        let eventLoops = Array(group.makeIterator())
        let loops = try await LoopTable(on: eventLoops) { eventLoop, index in
            let (clock, share) = (LoopClock(), LoopShare(index: index, count: eventLoops.count))
            let epoch = Epoch(snapshot, of: share, shared, on: eventLoop, clock)
            return Loop(on: eventLoop, epoch, share: share, shared, clock: clock)
        }
        do {
            resolver?.start(at: .now()) { addresses in loops.tell { $0.epoch.pool.resolved(to: addresses) } }
            _ = try await loops.map { $0.start(among: loops) }
            let deadline = ContinuousClock.now + startGrace
            try await awaitStart(loops, resolver, until: deadline)
            await willListen(shared.instance.id, deadline)
            let listeners = try await Listeners.open(
                settings.listen, inherited: inherited, group: group, loops: loops, trouble: troubles.accepting)
            return ProxyService(
                settings: settings, logger: logger, group: group, loops: loops, accessLog: accessLog,
                listeners: listeners, instance: shared.instance, resolver: resolver)
        } catch {
            await close(loops, resolver, accessLog, group, logger)
            throw error
        }
    }

    private init(
        settings: Settings, logger: Logger, group: MultiThreadedEventLoopGroup, loops: LoopTable,
        accessLog: AccessLog?, listeners: Listeners, instance: Instance, resolver: UpstreamResolver?
    ) {
        self.settings = settings
        self.logger = logger
        self.group = group
        self.loops = loops
        self.accessLog = accessLog
        self.listeners = listeners
        self.instance = instance
        self.resolver = resolver
    }

    /// Where clients connect; the ports are the kernel's where 0 was configured.
    package var addresses: [String] { listeners.addresses }

    /// The id of the database that requests are counted in; nil until a loop has seen one.
    package var database: [UInt8]? { instance.id }

    package func availability() async -> Availability {
        guard phase.withLockedValue({ $0 }) == .serving else { return .draining }
        if let fault = await Self.fault(of: loops) { return .redisUnavailable(fault) }
        return resolver?.hasAddress == false ? .upstreamUnresolved : .ready
    }

    /// What keeps a loop from Redis; of several that of the first.
    private static func fault(of loops: LoopTable) async -> GateFault? {
        do {
            return try await loops.map(\.epoch.gate.fault).compactMap(\.self).first
        } catch {
            // A loop that is shut down answers nothing, and is as little ready.
            return .redis(.unreachable)
        }
    }

    private static func openAccessLog(_ access: Settings.Log.Access, logger: Logger) throws -> AccessLog? {
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
            if resolver?.isAnswered != false, await fault(of: loops) == nil { return }
            try await Task.sleep(for: startPoll)
        }
    }

    /// Opens the access log anew, for whoever has moved the file away.
    package func reopenLog() {
        accessLog?.reopen()
    }

    // MARK: End

    /// Finishes what is under way, within `drain.timeout`, and then stops.
    package func drain() async {
        phase.withLockedValue { $0 = .draining }
        logger.info("draining")
        do {
            // A balancer needs a moment to see that this one is going.
            if settings.drain.delay > .zero { try await Task.sleep(for: settings.drain.delay) }
            // First, so that whoever finds the listeners closed is told to close by every answer from then on.
            _ = try await loops.map { $0.announceDrain() }
            await listeners.end()
            try await finishRequests()
        } catch {
            logger.error("drain cut short", metadata: ["error": "\(error)"])
        }
        await Self.close(loops, resolver, accessLog, group, logger)
    }

    private func finishRequests() async throws {
        let loops = loops
        let timeout = settings.drain.timeout
        let cutter = Task {
            try await Task.sleep(for: timeout)
            _ = try await loops.map { $0.cut() }
        }
        defer { cutter.cancel() }
        try await loops.wait { $0.drain() }
    }

    private static func close(
        _ loops: LoopTable, _ resolver: UpstreamResolver?, _ accessLog: AccessLog?,
        _ group: MultiThreadedEventLoopGroup, _ logger: Logger
    ) async {
        resolver?.close()
        do {
            try await loops.wait { $0.close() }
            await accessLog?.close()
            try await group.shutdownGracefully()
        } catch {
            logger.error("not closed cleanly", metadata: ["error": "\(error)"])
        }
    }
}
