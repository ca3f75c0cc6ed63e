// SPDX-License-Identifier: Apache-2.0

import Admission
import Endpoints
import Logging
import Octets
import Settings

/// What stands behind one configuration, for all loops: the Redis that is counted in, and the handler's name. The next
/// configuration has the same where it names the same.
struct Backends: Sendable {
    private let endpoint: RedisEndpoint
    private let location: Settings.Upstream.Location
    let instance: Instance
    let late: LateDecisions
    let outages: Outages
    let seen: SeenKeys
    /// Nil where the handler has no name.
    let resolver: UpstreamResolver?

    /// - Parameter former: of the configuration before. Another Redis has an id of its own, and an end of its outages.
    init(_ settings: Settings, after former: Backends? = nil, logger: Logger) {
        endpoint = settings.redis.endpoint
        location = settings.upstream.location
        let ofRedis = former?.endpoint.isSameDatabase(as: endpoint) == true ? former : nil
        instance = ofRedis?.instance ?? Instance()
        late = ofRedis?.late ?? LateDecisions()
        outages = ofRedis?.outages ?? Outages()
        seen =
            ofRedis?.seen
            ?? SeenKeys(capacity: settings.limits.cacheEntries, after: former.map { ($0.seen, $0.instance) })
        resolver =
            former?.location == location
            ? former?.resolver : UpstreamResolver(settings.upstream, logger: logger)
    }

    func hasRedis(of other: Backends) -> Bool { endpoint.isSameDatabase(as: other.endpoint) }
}
