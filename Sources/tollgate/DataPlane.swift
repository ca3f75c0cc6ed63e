// SPDX-License-Identifier: Apache-2.0

import Admin
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle

/// What carries requests, as the daemon handles it: started, asked how it is, told of signals, and drained.
struct DataPlane: Sendable {
    /// Where clients connect, as logs write it.
    var addresses: [String]
    var readiness: @Sendable () async -> Readiness
    /// Opens the access log anew, for whoever has moved the file away.
    var reopenLog: @Sendable () async -> Void
    /// Finishes what is under way, and stops.
    var drain: @Sendable () async -> Void
    /// The id of the Redis database that requests are counted in; nil until one was seen.
    var database: @Sendable () -> [UInt8]? = { nil }
}

/// Runs the data plane from its start to its drained end, and knows at any time how it is.
struct DataPlaneService: Service {
    private enum Phase {
        case starting
        case running(DataPlane)
        case draining
    }

    private let start: @Sendable () async throws -> DataPlane
    private let logger: Logger
    private let phase = NIOLockedValueBox(Phase.starting)
    private let isEnding = NIOLockedValueBox(false)

    init(logger: Logger, start: @escaping @Sendable () async throws -> DataPlane) {
        self.logger = logger
        self.start = start
    }

    func run() async throws {
        let plane = try await start()
        phase.withLockedValue { $0 = .running(plane) }
        for address in plane.addresses {
            logger.info("listening", metadata: ["address": "\(address)"])
        }
        // Cancelled means that another service failed: what is under way is finished all the same.
        try? await gracefulShutdown()
        phase.withLockedValue { $0 = .draining }
        await plane.drain()
    }

    /// It is told to end, and from now on says so. Its own end comes when it is its turn.
    func announceEnd() {
        isEnding.withLockedValue { $0 = true }
    }

    var readiness: Readiness {
        get async {
            guard !isEnding.withLockedValue({ $0 }) else { return .draining }
            return switch phase.withLockedValue({ $0 }) {
            case .starting: .starting
            case .running(let plane): await plane.readiness()
            case .draining: .draining
            }
        }
    }

    /// As the running data plane knows it.
    var database: [UInt8]? {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return nil }
        return plane.database()
    }

    func reopenLog() async {
        guard case .running(let plane) = phase.withLockedValue({ $0 }) else { return }
        await plane.reopenLog()
    }
}
