// SPDX-License-Identifier: Apache-2.0

import Admission
import Endpoints
import Logging
import NIOCore
import Settings
import Telemetry

/// The way from one configuration to the next, in two steps:
///
/// 1. `prepare`: everything that can fail is done, beside what is at work. Files are open, sockets bound, a new handler's name
///    has an address, and each loop has a gate that answers where Redis is a new one.
/// 2. `commit`, which can't fail: each loop goes on with the next configuration, between two of its events. Requests under way,
///    and streams, go on by the one they began with.
///
/// What both configurations have in common is kept: connections to Redis and to the handler, listeners, what is known of
/// keys and buckets.
struct Reload {
    /// How long a Redis, or the handler's name, that is new is waited for.
    private static let patience = Duration.seconds(5)
    private static let poll = Duration.milliseconds(5)

    /// All that is ready, and not in force.
    struct Next {
        var standing: ProxyService.Standing
        let snapshot: Snapshot
        /// Nil where `listen` is as it was.
        var listening: Listeners.Change?
    }

    private let standing: ProxyService.Standing
    private let settings: Settings
    private let loops: LoopTable
    private let listeners: Listeners
    private let shared: Shared

    init(
        _ standing: ProxyService.Standing, to settings: Settings, loops: LoopTable, listeners: Listeners,
        shared: Shared
    ) {
        self.standing = standing
        self.settings = settings
        self.loops = loops
        self.listeners = listeners
        self.shared = shared
    }

    private var keepsLog: Bool { settings.log.access == standing.settings.log.access }

    // MARK: Prepare

    func prepare() async throws -> Next {
        let changed = settings.changesThatNeedARestart(from: standing.settings)
        guard changed.isEmpty else { throw ReloadError.needsRestart(changed) }
        let snapshot = try Snapshot(settings)
        let backends = Backends(settings, after: standing.backends, logger: shared.logger)
        var log = standing.accessLog
        if !keepsLog {
            do throws(LineSink.Failure) {
                log = try ProxyService.openAccessLog(settings.log.access, logger: shared.logger)
            } catch {
                throw ReloadError.accessLog(error.description)
            }
        }
        let next = ProxyService.Standing(settings: settings, backends: backends, accessLog: log)
        var listening = Listeners.Change?.none
        do {
            // The same words may mean other addresses by now: then it takes a restart, or a change, to follow them.
            listening = settings.listen == standing.settings.listen ? nil : try await listeners.prepare(settings.listen)
            if backends.resolver !== standing.backends.resolver {
                backends.resolver?.start(at: .now(), telling: loops)
            }
            _ = try await loops.map { $0.prepare(snapshot, backends) }
            try await awaitBackends(backends)
        } catch {
            listening?.discard()
            await discard(next)
            throw error is ProxyStartError ? ReloadError.listen("\(error)") : error
        }
        return Next(standing: next, snapshot: snapshot, listening: listening)
    }

    /// What is the same as before is not waited for: a change of limits must be possible while Redis is away.
    private func awaitBackends(_ backends: Backends) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            // A loop does so once it is in force.
            if backends.resolver !== standing.backends.resolver { backends.resolver?.tick(at: .now()) }
            let fault = backends.hasRedis(of: standing.backends) ? nil : try await faultOfNext()
            let isResolved =
                backends.resolver === standing.backends.resolver || backends.resolver?.hasAddress != false
            if fault == nil, isResolved { return }
            guard ContinuousClock.now < deadline else {
                if let fault { throw ReloadError.redis("\(settings.redis.endpoint)", fault) }
                throw ReloadError.upstream("\(settings.upstream.location)")
            }
            try await Task.sleep(for: Self.poll)
        }
    }

    private func faultOfNext() async throws -> GateFault? {
        try await loops.map(\.faultOfNext).compactMap(\.self).first
    }

    // MARK: Then

    func discard(_ next: Next) async {
        next.listening?.discard()
        await discard(next.standing)
    }

    private func discard(_ next: ProxyService.Standing) async {
        do {
            _ = try await loops.map { $0.discardNext() }
        } catch {
            // A loop that is shut down has discarded it.
        }
        await close(next, besides: standing)
    }

    func commit(_ next: Next) async {
        let (log, keepsLog) = (next.standing.accessLog, keepsLog)
        // Before the loops look for them. Who is accepted meanwhile is looked at when his handshake is through.
        next.listening?.endFormerClients()
        do {
            _ = try await loops.map { $0.advance(writingTo: log, keepsLog: keepsLog) }
        } catch {
            // A loop that is shut down goes on with nothing.
        }
        let bounds = next.snapshot.bounds
        shared.ledger.change(most: bounds.connections, mostOfAddress: bounds.connectionsPerAddress)
        if let listening = next.listening {
            for failure in await listeners.commit(listening) {
                shared.logger.error("a unix socket can't be put at its path", metadata: ["error": "\(failure)"])
            }
        }
        await close(standing, besides: next.standing)
    }

    /// What one configuration has that the other hasn't.
    private func close(_ one: ProxyService.Standing, besides other: ProxyService.Standing) async {
        if one.backends.resolver !== other.backends.resolver { one.backends.resolver?.close() }
        if one.accessLog !== other.accessLog { await one.accessLog?.close() }
    }
}

extension Settings {
    /// Keys whose values are different, and are the process' for life.
    fileprivate func changesThatNeedARestart(from old: Settings) -> [String] {
        (loops == old.loops ? [] : ["loops"]) + (namespace == old.namespace ? [] : ["namespace"])
    }
}
