// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Telemetry

/// Which combinations of labels have series of their own in the sum of all loops: those that were told first, for as long as
/// the process lives. So none goes backward, or becomes one of the others later.
final class SeriesOrder: Sendable {
    private struct State {
        var requests = SeriesTable(.ofRequests, other: RequestLabels.other, isMinor: RequestLabels.isMinor)
        var operations = SeriesTable(.ofOperations, other: RequestLabels.other, isMinor: MessageLabels.isMinor)
    }

    private let state = NIOLockedValueBox(State())

    func sum(of reports: [LoopReport]) -> (requests: SeriesTable, operations: SeriesTable) {
        state.withLockedValue { state in
            var requests = state.requests.emptied
            var operations = state.operations.emptied
            for report in reports {
                requests.add(report.metrics.requests)
                operations.add(report.metrics.operations)
            }
            (state.requests, state.operations) = (requests, operations)
            return (requests, operations)
        }
    }
}
