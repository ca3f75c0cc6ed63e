// SPDX-License-Identifier: Apache-2.0

import Directory
import Endpoints
import Logging
import Octets
import Redis
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Has old records removed and the keys counted that end soon, about once an hour, by one sidecar of all that share a
/// database (docs/usage.md).
///
/// Each round has a connection of its own. While Redis is away there is none, and nothing is said of it: others do.
struct RecordKeeper: Sendable {
    /// Of each wait, half of it to one and a half times, so that sidecars started together don't come together.
    struct Pace: Sendable {
        var first = Duration.seconds(60)
        var interval = Duration.seconds(3_600)
        /// Between two steps.
        var step = Duration.milliseconds(10)

        /// Of a figure: twice the longest wait, for a large database makes a round long.
        var figureLifetime: Duration { interval * 3 }
    }

    /// In force now.
    private let settings: @Sendable () -> Settings
    private let pace: Pace
    /// The id of the database that requests are counted in; nil while none was seen.
    private let database: @Sendable () -> [UInt8]?
    private let logger: Logger

    init(
        _ settings: @escaping @Sendable () -> Settings, pace: Pace = Pace(), logger: Logger,
        database: @escaping @Sendable () -> [UInt8]?
    ) {
        self.settings = settings
        self.pace = pace
        self.database = database
        self.logger = logger
    }

    /// Until the task is cancelled.
    func run() async {
        var wait = pace.first
        while !Task.isCancelled {
            try? await Task.sleep(for: wait * .random(in: 0.5...1.5))
            guard !Task.isCancelled else { return }
            await sweep()
            wait = pace.interval
        }
    }

    private func sweep() async {
        guard let database = database() else { return }
        do {
            guard let removed = try await removeOldRecords(database), removed > 0 else { return }
            logger.info("records of revoked keys removed", metadata: ["records": "\(removed)"])
        } catch is CancellationError {
            // The next round begins where this one has.
        } catch {
            logger.warning("records of revoked keys can't be removed", metadata: ["error": "\(error)"])
        }
    }

    private func removeOldRecords(_ database: [UInt8]) async throws -> Int? {
        let settings = settings()
        let client = try await RedisClient.connect(to: settings.redis.endpoint)
        defer { client.close() }
        let step = pace.step
        let retention = Retention(
            client, namespace: settings.namespace, retention: settings.keys.retention,
            who: "tollgate@\(ProcessInfo.processInfo.hostName)", figureLifetime: pace.figureLifetime
        ) { try await Task.sleep(for: step) }
        // No longer than the shortest wait, or a sidecar that is alone would find its own mark.
        return try await retention.sweep(database: database, rest: pace.interval / 2)
    }
}
