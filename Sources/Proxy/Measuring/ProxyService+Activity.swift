// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore
import Settings

extension ProxyService {
    /// What goes on behind the requests now, summed up over the loops.
    package struct Activity: Sendable {
        /// Questions to Redis whose answers are due.
        package var commandsInFlight = 0
        package var connections = UpstreamTally()
        /// The handler's addresses; none while nobody knows them.
        package var upstreamAddresses: [String] = []

        package init() {}
    }

    /// As of the loops' last reports, which are at most a tenth of a second old; of a loop that is busy, older.
    package func activity() async -> Activity {
        var activity = Activity()
        let current = current
        activity.upstreamAddresses =
            current.backends.resolver?.addresses.map(\.written) ?? ["\(current.settings.upstream.location)"]
        for report in await reports.round().reports.compactMap(\.self) {
            activity.commandsInFlight += report.standing.commandsInFlight
            activity.connections = activity.connections + report.pool
        }
        return activity
    }
}
