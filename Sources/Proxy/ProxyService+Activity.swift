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

    /// Asks each loop in its own time.
    package func activity() async -> Activity {
        var activity = Activity()
        let current = current
        activity.upstreamAddresses =
            current.backends.resolver?.addresses.map(\.written) ?? ["\(current.settings.upstream.location)"]
        // A loop that is shut down has nothing under way.
        for part in (try? await loops.map(\.activity)) ?? [] {
            activity.commandsInFlight += part.commandsInFlight
            activity.connections = activity.connections + part.connections
        }
        return activity
    }
}

extension Loop {
    fileprivate var activity: (commandsInFlight: Int, connections: UpstreamTally) {
        (epoch.gate.commandsInFlight, epoch.pool.tally)
    }
}
