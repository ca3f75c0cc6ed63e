// SPDX-License-Identifier: Apache-2.0

import Admin
import Logging
import NIOConcurrencyHelpers
import Proxy
import Settings
import Telemetry

/// What carries requests, as the daemon handles it: started, asked how it is, told of signals, and drained.
struct DataPlane: Sendable {
    /// Where clients connect, as logs write it.
    var addresses: @Sendable () -> [String]
    var activity: @Sendable () async -> ProxyService.Activity
    /// Opens the access log anew, for whoever has moved the file away.
    var reopenLog: @Sendable () async -> Void
    /// Goes on with other settings, all or none; `ready` is waited for when all else is there, and what it throws ends the
    /// attempt.
    var reload: @Sendable (_ settings: Settings, _ ready: @Sendable () async throws -> Void) async throws -> Void
    /// Finishes what is under way, and stops.
    var drain: @Sendable () async -> Void
    /// The id of the Redis database that requests are counted in; nil until one was seen.
    var database: @Sendable () -> [UInt8]? = { nil }
    /// Why the handler can't be connected to; nil where it can, as far as is known.
    var upstreamFailure: @Sendable () -> UpstreamFailure? = { nil }
    /// What it has counted; also while it drains, and when it has.
    var metrics: @Sendable () async -> [MetricFamily] = { [] }
}

/// The data plane from its start to its drained end, which knows at any time how it is.
struct DataPlaneService: Sendable {
    private enum Phase {
        case starting
        case running(DataPlane)
        case draining(DataPlane)
    }

    /// What is to be mended, though every request is served as it should be.
    private let weakness: @Sendable () -> Readiness.Cause?
    private let make: @Sendable () async throws -> DataPlane
    private let logger: Logger
    private let phase = NIOLockedValueBox(Phase.starting)
    private let isEnding = NIOLockedValueBox(false)

    /// - Parameters:
    ///   - weakness: nil for none.
    ///   - make: starts it.
    init(
        logger: Logger, weakness: @escaping @Sendable () -> Readiness.Cause? = { nil },
        _ make: @escaping @Sendable () async throws -> DataPlane
    ) {
        self.logger = logger
        self.weakness = weakness
        self.make = make
    }

    func start() async throws {
        let plane = try await make()
        phase.withLockedValue { $0 = .running(plane) }
        for address in plane.addresses() {
            logger.info("listening", metadata: ["address": "\(address)"])
        }
    }

    /// Goes on with other settings, or throws why it can't. To be called once it has started, and not once it drains.
    func reload(_ settings: Settings, ready: @Sendable () async throws -> Void) async throws {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else {
            preconditionFailure("Nothing is at work that could go on with other settings")
        }
        let before = plane.addresses()
        try await plane.reload(settings, ready)
        let after = plane.addresses()
        for address in after where !before.contains(address) {
            logger.info("listening", metadata: ["address": "\(address)"])
        }
        for address in before where !after.contains(address) {
            logger.info("no longer listening", metadata: ["address": "\(address)"])
        }
    }

    /// Finishes what is under way, and stops. To be called once, when it has started.
    func drain() async {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else {
            preconditionFailure("Nothing has started that could be drained")
        }
        phase.withLockedValue { $0 = .draining(plane) }
        await plane.drain()
    }

    /// It is told to end, and from now on says so. It is drained when it is its turn.
    func announceEnd() {
        isEnding.withLockedValue { $0 = true }
    }

    var readiness: Readiness {
        get async {
            // Whoever balances is told of the end at once.
            guard !isEnding.withLockedValue({ $0 }) else { return .draining }
            return readiness(given: await running?.activity)
        }
    }

    /// - Parameter activity: as ``running`` has just told it.
    func readiness(given activity: ProxyService.Activity?) -> Readiness {
        guard !isEnding.withLockedValue({ $0 }) else { return .draining }
        return switch phase.withLockedValue({ $0 }) {
        case .starting: .starting
        // Without an activity it has begun to run just now.
        case .running: activity.map { readiness(when: Readiness($0.availability)) } ?? .starting
        case .draining: .draining
        }
    }

    private func readiness(when running: Readiness) -> Readiness {
        guard running == .ready, let weakness = weakness() else { return running }
        return .degraded(weakness)
    }

    /// How it is, for whoever supervises the process; also while it drains.
    ///
    /// - Parameter reloadProblem: why the last change of the configuration failed; nil where it didn't.
    func view(reloadProblem: String?) async -> Supervisor.View {
        let plane: DataPlane? =
            switch phase.withLockedValue({ $0 }) {
            case .starting: nil
            case .running(let plane), .draining(let plane): plane
            }
        let activity = await plane?.activity()
        let line = readiness(given: activity).line(at: plane?.addresses() ?? [], reloadProblem: reloadProblem)
        return Supervisor.View(status: line, loopsUnheard: activity?.loopsUnheard ?? 0)
    }

    /// Where clients connect, and what goes on behind; nil while nothing runs.
    var running: (addresses: [String], activity: ProxyService.Activity)? {
        get async {
            guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return nil }
            return (plane.addresses(), await plane.activity())
        }
    }

    /// What it has counted; nothing before it has started.
    var metrics: [MetricFamily] {
        get async {
            switch phase.withLockedValue({ $0 }) {
            case .starting: []
            case .running(let plane), .draining(let plane): await plane.metrics()
            }
        }
    }

    /// As the running data plane knows it.
    var database: [UInt8]? {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return nil }
        return plane.database()
    }

    /// As the running data plane knows it.
    var upstreamFailure: Status.Failure? {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return nil }
        return plane.upstreamFailure().map { Status.Failure(since: $0.since, error: $0.error) }
    }

    func reopenLog() async {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return }
        await plane.reopenLog()
    }
}
