// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOConcurrencyHelpers

/// A logger whose lines a test can look at: `level message key=value …`, keys sorted.
package final class RecordedLog: Sendable {
    private let recorded = NIOLockedValueBox<[String]>([])

    package init() {}

    package var lines: [String] { recorded.withLockedValue(\.self) }

    package var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    private struct Handler: LogHandler {
        let log: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let values = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let line = (["\(event.level)", "\(event.message)"] + values).joined(separator: " ")
            log.recorded.withLockedValue { $0.append(line) }
        }
    }
}
