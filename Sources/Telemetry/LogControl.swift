// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

/// What of the daemon's own log is written and how, for all handlers that share it. A reload changes it while they write.
package final class LogControl: Sendable {
    package enum Format: UInt8, Sendable {
        /// `2026-11-23T03:41:07.123Z info connected redis.address=127.0.0.1:6379`
        case text
        /// `{"time":"2026-11-23T03:41:07.123Z","level":"info","message":"connected","redis.address":"127.0.0.1:6379"}`
        case json
    }

    /// By their place in `Logger.Level.allCases`, from the least severe.
    private let severity: Atomic<Int>
    private let shape: Atomic<UInt8>

    package init(level: Logger.Level = .info, format: Format = .text) {
        severity = Atomic(Self.severity(of: level))
        shape = Atomic(format.rawValue)
    }

    /// The least that is written.
    package var level: Logger.Level {
        let levels = Logger.Level.allCases
        return levels[min(severity.load(ordering: .relaxed), levels.count - 1)]
    }

    package var format: Format { Format(rawValue: shape.load(ordering: .relaxed)) ?? .text }

    /// From the next line on, on every thread.
    package func apply(level: Logger.Level, format: Format) {
        severity.store(Self.severity(of: level), ordering: .relaxed)
        shape.store(format.rawValue, ordering: .relaxed)
    }

    private static func severity(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}
