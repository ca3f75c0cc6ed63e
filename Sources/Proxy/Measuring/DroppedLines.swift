// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Telemetry

/// Lines of the access log that were dropped, over all logs that a process has had: a reload may bring another one.
final class DroppedLines: Sendable {
    private struct State {
        var log: AccessLog?
        /// Of logs before.
        var former = 0
    }

    private let state = NIOLockedValueBox(State())

    func total(of log: AccessLog?) -> Int {
        state.withLockedValue { state in
            if state.log !== log {
                state.former += state.log?.droppedLines ?? 0
                state.log = log
            }
            return state.former + (log?.droppedLines ?? 0)
        }
    }
}
