// SPDX-License-Identifier: Apache-2.0

import Admin
import Endpoints
import LibC
import Logging
import NIOCore
import NIOPosix
import OpenAPI
import Proxy
import Settings
import Telemetry

/// The parts of one process, and how it ends:
///
/// 1. The first SIGTERM or SIGINT drains. The admin address outlives the data plane, to tell of it.
/// 2. The second one ends the process at once, with exit code 1.
/// 3. SIGHUP opens the access log anew and reads the configuration again, as a change of its file does (``Reloader``).
///
/// What was started last ends first, and each part has ended before the next one is told.
struct Daemon {
    /// Beyond the drain's own time: what a data plane needs to close, and an admin connection to be answered.
    private static let shutdownMargin = Duration.seconds(5)

    private typealias Triggers = (
        stream: AsyncStream<Reloader.Trigger>, continuation: AsyncStream<Reloader.Trigger>.Continuation
    )

    /// As it starts with them; ``state`` has those in force.
    private let settings: Settings
    private let configuration: ConfigurationSources
    private let text: String?
    private let state: ConfigurationState
    private let inherited: InheritedSockets
    private let supervisor: Supervisor
    private let logger: Logger
    /// What the logger goes by, and each copy of it.
    private let log = LogControl()
    private let traffic = TrafficRecorder()

    /// - Parameters:
    ///   - configuration: where the settings come from, to be read again.
    ///   - text: what their file said.
    init(
        _ settings: Settings, from configuration: ConfigurationSources, text: String?, inherited: InheritedSockets,
        supervision: Supervision
    ) {
        self.settings = settings
        self.configuration = configuration
        self.text = text
        self.inherited = inherited
        state = ConfigurationState(settings, file: configuration.path, text: text)
        log.apply(settings.log)
        LoggingSystem.bootstrap { [log] _ in StderrLogHandler(log) }
        logger = Logger(label: "tollgate")
        supervisor = Supervisor(supervision, logger: logger)
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
                "upstream": "\(settings.upstream.address)",
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
        logger.tellWarnings(of: settings)
        let publisher = PolicyPublisher(settings, logger: logger)
        let dataPlane = DataPlaneService(
            logger: logger,
            weakness: { [state] in
                Readiness.Cause(ofSentinelsAt: state.settings.redis.endpoint) ?? publisher.eviction.cause
            }
        ) {
            [settings, inherited, traffic, logger] in
            try await DataPlane(
                settings, inherited: inherited, publisher: publisher, traffic: traffic, logger: logger)
        }
        let (ending, end) = AsyncStream<Never>.makeStream()
        let triggers = AsyncStream<Reloader.Trigger>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await obey(signals, dataPlane, triggers.continuation, end) }
            tasks.addTask { await watchFile(triggers.continuation) }
            tasks.addTask { await supervisor.watch { await view(of: dataPlane) } }
            try await serve(dataPlane, publisher, reloadingOn: triggers, until: ending)
            // Signals never end by themselves.
            tasks.cancelAll()
        }
        logger.info("ended")
    }

    private func serve(
        _ dataPlane: DataPlaneService, _ publisher: PolicyPublisher,
        reloadingOn triggers: Triggers,
        until ending: AsyncStream<Never>
    ) async throws {
        let discovery = Discovery(on: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let admin = adminAddress(dataPlane, publisher, discovery)
        try await admin.start(settings)
        do {
            try await dataPlane.start()
        } catch {
            // It may have been published before its address was found taken.
            await publisher.retire()
            await admin.end(by: .now + Self.shutdownMargin)
            throw error
        }
        supervisor.start(await view(of: dataPlane))
        let keeper = RecordKeeper({ state.settings }, logger: logger, database: { dataPlane.database })
        let reloader = Reloader(
            sources: configuration, state: state,
            parts: Reloader.Parts(
                requests: { try await dataPlane.reload($0, ready: $1) }, admin: admin,
                merge: { try await discovery.merged($0, after: $1) }, update: { discovery.merged($0) },
                others: {
                    log.apply($0.log)
                    await publisher.change(to: $0, in: dataPlane.database)
                },
                reopenLog: { await dataPlane.reopenLog() },
                willObey: { [supervisor] in supervisor.beginReload() },
                hasObeyed: { [supervisor] in supervisor.endReload(await view(of: dataPlane)) }),
            logger: logger)
        let deadline = await withTaskGroup(of: Void.self) { keepers in
            keepers.addTask { await keeper.run() }
            keepers.addTask { await publisher.run(into: { dataPlane.database }) }
            keepers.addTask { await reloader.run(triggers.stream, from: text) }
            keepers.addTask {
                await SecretsWatch(settings: { state.settings }, logger: logger).run(over: state.changes) {
                    triggers.continuation.yield(Reloader.Trigger($0))
                }
            }
            keepers.addTask {
                await discovery.run({ state.settings }) {
                    triggers.continuation.yield(Reloader.Trigger(.routes))
                }
            }
            for await _ in ending {}
            keepers.cancelAll()
            await keepers.waitForAll()
            return ContinuousClock.now + timeToEnd
        }
        // Before it drains: a sidecar that does is none to count on.
        await publisher.retire()
        await dataPlane.drain()
        await admin.end(by: deadline)
    }

    /// From the first signal on.
    private var timeToEnd: Duration {
        let drain = state.settings.drain
        return drain.delay + drain.timeout + Self.shutdownMargin
    }

    private func view(of dataPlane: DataPlaneService) async -> Supervisor.View {
        await dataPlane.view(reloadProblem: state.report.lastReload?.problems.first)
    }

    private func adminAddress(
        _ dataPlane: DataPlaneService, _ publisher: PolicyPublisher, _ discovery: Discovery
    ) -> AdminAddress {
        let report = StatusReport(
            state: state, dataPlane: dataPlane, discovery: discovery, fleet: Fleet(publisher), name: publisher.name,
            startedAt: .now)
        let contents = AdminContents(
            readiness: { await dataPlane.readiness }, status: { await report.status },
            configurationError: { [state] in state.report.lastReload?.problems.first },
            upstreamFailure: { dataPlane.upstreamFailure },
            metrics: { [state] in
                let documents = DocumentMetrics.families(
                    discovery.reports(of: state.settings), routesProblem: state.report.routesProblem)
                return await dataPlane.metrics + state.metrics + documents + [
                    publisher.expiringKeys.family, publisher.eviction.family,
                ]
                    + SentinelMetrics.families(of: state.settings.redis.endpoint)
                    + ProcessMetrics.families
            },
            page: PageContents(traffic: traffic) { await report.page(expiring: publisher.expiringKeys.current) })
        return AdminAddress { [logger] address in
            try await AdminService.open(
                address, contents,
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger, lookUp: NameLookup.addresses)
        }
    }

    private func watchFile(_ triggers: AsyncStream<Reloader.Trigger>.Continuation) async {
        guard let path = configuration.path else { return }
        do {
            let changes = try FileWatch.changes(of: path)
            // It may have changed since it was read.
            triggers.yield(Reloader.Trigger(.file))
            for try await began in changes { triggers.yield(Reloader.Trigger(.file, at: began)) }
        } catch {
            logger.warning(
                "changes of the configuration aren't seen: send SIGHUP after one",
                metadata: ["file": "\(path)", "error": "\(error)"])
        }
    }

    private func obey(
        _ signals: AsyncStream<Signal>, _ dataPlane: DataPlaneService,
        _ triggers: AsyncStream<Reloader.Trigger>.Continuation, _ end: AsyncStream<Never>.Continuation
    ) async {
        var isEnding = false
        for await signal in signals {
            if signal == .hangUp {
                triggers.yield(Reloader.Trigger(.signal))
            } else if isEnding {
                logger.warning("ending at once", metadata: ["signal": "\(signal.rawValue)"])
                exit(EXIT_FAILURE)
            } else {
                isEnding = true
                logger.info("ending", metadata: ["signal": "\(signal.rawValue)"])
                dataPlane.announceEnd()
                supervisor.stop(Readiness.draining.line(at: [], reloadProblem: nil), within: timeToEnd)
                end.finish()
            }
        }
    }
}
