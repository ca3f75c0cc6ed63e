// SPDX-License-Identifier: Apache-2.0

import Admin
import LibC
import Logging
import NIOCore
import NIOPosix
import Proxy
import ServiceLifecycle
import Settings
import Telemetry
import UnixSignals

/// The services of one process, and how it ends:
///
/// 1. The first SIGTERM or SIGINT drains. The admin address outlives the data plane, to tell of it.
/// 2. The second one ends the process at once, with exit code 1.
/// 3. SIGHUP opens the access log anew.
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
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
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
        let group = ServiceGroup(configuration: configuration(dataPlane, publisher))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { await obey(signals, group, dataPlane) }
            // The group's end is the process's; signals never end by themselves.
            try await tasks.next()
            tasks.cancelAll()
        }
        logger.info("ended")
    }

    private func configuration(
        _ dataPlane: DataPlaneService, _ publisher: PolicyPublisher
    ) -> ServiceGroupConfiguration {
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let address = settings.admin {
            let admin = AdminService(
                address, readiness: { await dataPlane.readiness },
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger, lookUp: NameLookup.addresses)
            services.append(.init(service: admin))
        }
        // Where it can't start, the others end as ever: cut off, they would add alarms to the one line that says why.
        services.append(.init(service: dataPlane, failureTerminationBehavior: .gracefullyShutdownGroup))
        services.append(
            .init(service: RecordKeeper(settings, logger: logger, database: { dataPlane.database })))
        // Last, so that it ends first: a sidecar that drains is none to count on.
        services.append(
            .init(service: PolicyPublishing(publisher: publisher, database: { dataPlane.database })))
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .critical)
        var configuration = ServiceGroupConfiguration(services: services, logger: quiet)
        configuration.maximumGracefulShutdownDuration =
            settings.drain.delay + settings.drain.timeout + Self.shutdownMargin
        return configuration
    }

    private func obey(_ signals: UnixSignalsSequence, _ group: ServiceGroup, _ dataPlane: DataPlaneService) async {
        var isEnding = false
        for await signal in signals {
            if signal == .sighup {
                logger.info("opening the access log anew")
                await dataPlane.reopenLog()
            } else if isEnding {
                logger.warning("ending at once", metadata: ["signal": "\(signal)"])
                exit(EXIT_FAILURE)
            } else {
                isEnding = true
                logger.info("ending", metadata: ["signal": "\(signal)"])
                dataPlane.announceEnd()
                await group.triggerGracefulShutdown()
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
