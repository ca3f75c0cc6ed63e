// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOCore
import Redis

/// What all loops of a process share of one Redis, over reloads too.
struct Surroundings {
    let instance: Instance
    let late: LateDecisions
    let outages: Outages
    let seen: SeenKeys
    /// Microseconds since 1970, for reports where Redis was never heard.
    let wallClock: () -> Int
    let logger: Logger
}

extension Store {
    /// One that connects to an endpoint: to a server, to the primary that sentinels name, or to the primaries of a cluster.
    convenience init(
        _ configuration: AdmissionConfiguration, at endpoint: RedisEndpoint, on eventLoop: any EventLoop,
        _ surroundings: Surroundings
    ) {
        if endpoint.seeds == nil {
            self.init(Self.server(at: endpoint, configuration, on: eventLoop, surroundings))
        } else {
            self.init(Self.cluster(at: endpoint, configuration, on: eventLoop, surroundings))
        }
    }

    private static func server(
        at endpoint: RedisEndpoint, _ configuration: AdmissionConfiguration, on eventLoop: any EventLoop,
        _ surroundings: Surroundings
    ) -> StoreLink {
        StoreLink(configuration, at: "\(endpoint)", on: eventLoop, surroundings) { link in
            RedisConnection(
                endpoint: endpoint, on: eventLoop, scripts: Gate.scripts, onConnect: link.greet,
                onMove: link.recover, logger: surroundings.logger)
        }
    }

    private static func cluster(
        at endpoint: RedisEndpoint, _ configuration: AdmissionConfiguration, on eventLoop: any EventLoop,
        _ surroundings: Surroundings
    ) -> Shards {
        let nowhere = StoreLink(configuration, at: "\(endpoint)", on: eventLoop, surroundings) { _ in
            NoConnection(on: eventLoop) { knowledge(of: endpoint) }
        }
        return Shards(nowhere: nowhere, Shards.Terms(endpoint: endpoint, configuration: configuration)) {
            address, terms in
            server(
                at: terms.endpoint.node(at: address), terms.configuration, on: eventLoop,
                surroundings.node(at: address))
        } follow: { shards in
            follow(endpoint, on: eventLoop, shards, surroundings.logger)
        }
    }

    private static func knowledge(of endpoint: RedisEndpoint) -> NoConnection.Knowledge {
        switch ClusterWatch.running(for: endpoint)?.answer {
        case .success(let map)? where map.isWhole: .whole
        case .success?: .broken(.notConnected("no server of the cluster has some of the hash slots"))
        case .failure(let error)?: .broken(error)
        case nil: .none
        }
    }

    private static func follow(
        _ endpoint: RedisEndpoint, on eventLoop: any EventLoop, _ shards: Shards, _ logger: Logger
    ) -> Shards.Source? {
        let bound = NIOLoopBound(shards, eventLoop: eventLoop)
        let following = ClusterWatch.follow(endpoint, on: eventLoop, logger: logger) { bound.value.look() }
        guard let (watch, follower) = following else { return nil }
        return Shards.Source(
            answer: { watch.answer }, doubt: watch.doubt, go: watch.go, leave: { watch.leave(follower) })
    }
}

extension Surroundings {
    /// Of one of a cluster's servers: what the log says of it names it, and isn't what it says of another.
    fileprivate func node(at address: ServerAddress) -> Surroundings {
        var logger = logger
        logger[metadataKey: "redis.node"] = "\(address)"
        return Surroundings(
            instance: instance, late: late, outages: outages.node(at: address), seen: seen, wallClock: wallClock,
            logger: logger)
    }
}
