// SPDX-License-Identifier: Apache-2.0

package import Admission
import NIOCore
import Settings

extension ProxyService {
    /// How it is, and what goes on behind the requests now, summed up over the loops.
    package struct Activity: Sendable {
        package var availability: Availability
        /// What keeps a loop from Redis, or from a part of a cluster; of several that of the first.
        package var redisOutage: GateOutage?
        /// Loops that haven't answered for a second.
        package var loopsUnheard = 0
        /// Questions to Redis whose answers are due.
        package var commandsInFlight = 0
        /// How many loops' breakers are in each state.
        package var breakers: [Breaker.State: Int] = [:]
        /// Of a cluster's primaries those that some loop has no use of.
        package var faultyServers: Set<String> = []
        package var connections = UpstreamTally()
        /// The handler's addresses; none while nobody knows them.
        package var upstreamAddresses: [String] = []

        package init(_ availability: Availability) {
            self.availability = availability
        }
    }

    /// All loops are asked at once, and waited for a second at most. Of one that is busy it is what that told last.
    package func activity() async -> Activity {
        let round = await reports.round()
        let current = current
        var activity = Activity(availability(by: round))
        activity.redisOutage = round.redisOutage ?? round.outageOfSome
        activity.loopsUnheard = round.unheard
        activity.upstreamAddresses =
            current.backends.resolver?.addresses.map(\.written) ?? ["\(current.settings.upstream.location)"]
        for report in round.reports.compactMap(\.self) {
            activity.commandsInFlight += report.standing.commandsInFlight
            activity.breakers[report.standing.breaker, default: 0] += 1
            activity.faultyServers.formUnion(report.standing.faultyServers)
            activity.connections = activity.connections + report.pool
        }
        return activity
    }

    private func availability(by round: LoopReports.Round) -> Availability {
        guard !isDraining else { return .draining }
        // First: of a loop that doesn't answer nothing else is known either.
        if round.unheard > 0 { return .loopsUnheard(round.unheard, of: round.reports.count) }
        let (outage, current) = (round.redisOutage, current)
        // Whoever knows no key serves nobody, whatever the configuration says: one that has just begun, or after a long outage.
        if let outage, !round.serveWithoutRedis { return .redisUnavailable(outage) }
        if current.backends.resolver?.hasAddress == false { return .upstreamUnresolved }
        if current.settings.awaitsRoutes { return .routesUnknown }
        return (outage ?? round.outageOfSome).map(Availability.degraded) ?? .ready
    }
}

extension LoopReports.Round {
    fileprivate var serveWithoutRedis: Bool { reports.allSatisfy { $0?.standing.servesWithoutRedis == true } }
    fileprivate var redisOutage: GateOutage? { reports.lazy.compactMap { $0?.standing.outage }.first }
    fileprivate var outageOfSome: GateOutage? { reports.lazy.compactMap { $0?.standing.outageOfSome }.first }
}
