// SPDX-License-Identifier: Apache-2.0

import Admin
import LibC
import Logging
import NIOCore
import NIOPosix
import Proxy
import Settings
import Telemetry

/// The parts of one process, and how it ends:
///
/// 1. The first SIGTERM or SIGINT drains. The admin address outlives the data plane, to tell of it.
/// 2. The second one ends the process at once, with exit code 1.
/// 3. SIGHUP opens the access log anew.
///
/// What was started last ends first, and each part has ended before the next one is told.
struct Daemon {
    /// Beyond the drain's own time: what a data plane needs to close, and an admin connection to be answered.
    private static let shutdownMargin = Duration.seconds(5)

    private let settings: Settings
    private let inherited: InheritedSockets
    private let logger: Logger

    init(_ settings: Settings, inherited: InheritedSockets) {
        self.settings = settings
        self.inherited = inherited
        let level = settings.log.level.level
        LoggingSystem.bootstrap { _ in StderrLogHandler(level: level) }
        logger = Logger(label: "tollgate")
    }

    func run() async throws {
        // A reader of our output that has gone away is an error of a write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // The admin address alone uses these; one thread is plenty.
        NIOSingletons.groupLoopCountSuggestion = 1
        let signals = await Signal.stream()
        logger.info(
            "starting",
            metadata: [
                "version": "\(Version.current)", "loops": "\(settings.loops)",
                "upstream": "\(settings.upstream.location)",
                "redis": "\(settings.redis.endpoint)",
            ])
        if settings.limits.connections < settings.limits.wantedConnections {
            logger.warning(
                "too few descriptors for the usual number of connections",
                metadata: [
                    "limits.connections": "\(settings.limits.connections)",
                    "default": "\(settings.limits.wantedConnections)",
                ])
        }
        let publisher = PolicyPublisher(settings, logger: logger)
        let dataPlane = DataPlaneService(logger: logger) { [settings, inherited, logger] in
            try await DataPlane(settings, inherited: inherited, publisher: publisher, logger: logger)
        }
        let (ending, end) = AsyncStream<Never>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await obey(signals, dataPlane, end) }
            try await serve(dataPlane, publisher, until: ending)
            // Signals never end by themselves.
            tasks.cancelAll()
        }
        logger.info("ended")
    }

    private func serve(
        _ dataPlane: DataPlaneService, _ publisher: PolicyPublisher, until ending: AsyncStream<Never>
    ) async throws {
        let admin = try await openAdmin(dataPlane)
        do {
            try await dataPlane.start()
        } catch {
            // It may have been published before its address was found taken.
            await publisher.retire()
            await admin?.end(by: .now + Self.shutdownMargin)
            throw error
        }
        let keeper = RecordKeeper(settings, logger: logger, database: { dataPlane.database })
        let deadline = await withTaskGroup(of: Void.self) { keepers in
            keepers.addTask { await keeper.run() }
            keepers.addTask { await publisher.run(into: { dataPlane.database }) }
            for await _ in ending {}
            keepers.cancelAll()
            return ContinuousClock.now + settings.drain.delay + settings.drain.timeout + Self.shutdownMargin
        }
        // Before it drains: a sidecar that does is none to count on.
        await publisher.retire()
        await dataPlane.drain()
        await admin?.end(by: deadline)
    }

    private func openAdmin(_ dataPlane: DataPlaneService) async throws -> AdminService? {
        guard let address = settings.admin else { return nil }
        return try await AdminService.open(
            address, readiness: { await dataPlane.readiness },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger, lookUp: NameLookup.addresses)
    }

    private func obey(
        _ signals: AsyncStream<Signal>, _ dataPlane: DataPlaneService, _ end: AsyncStream<Never>.Continuation
    ) async {
        var isEnding = false
        for await signal in signals {
            if signal == .hangUp {
                logger.info("opening the access log anew")
                await dataPlane.reopenLog()
            } else if isEnding {
                logger.warning("ending at once", metadata: ["signal": "\(signal.rawValue)"])
                exit(EXIT_FAILURE)
            } else {
                isEnding = true
                logger.info("ending", metadata: ["signal": "\(signal.rawValue)"])
                dataPlane.announceEnd()
                end.finish()
            }
        }
    }
}

extension Settings.Log.Level {
    fileprivate var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}
