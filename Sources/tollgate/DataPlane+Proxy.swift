// SPDX-License-Identifier: Apache-2.0

import Admin
import Logging
import Proxy
import Settings

extension DataPlane {
    /// The proxy as the daemon's data plane; started when this returns.
    init(_ settings: Settings, inherited: InheritedSockets, logger: Logger) async throws {
        let proxy = try await ProxyService.start(settings, inherited: inherited.descriptors, logger: logger)
        self.init(
            addresses: proxy.addresses,
            readiness: { Readiness(await proxy.readiness()) },
            reopenLog: { proxy.reopenLog() },
            drain: { await proxy.drain() },
            database: { proxy.database })
    }
}

extension Readiness {
    init(_ readiness: ProxyService.Readiness) {
        switch readiness {
        case .ready: self = .ready
        case .starting: self = .starting
        case .draining: self = .draining
        case .redisUnavailable: self = .redisUnavailable
        }
    }
}
