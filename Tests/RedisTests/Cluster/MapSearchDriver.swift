// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

@testable import Redis

/// A search with a clock of its own.
struct MapSearchDriver {
    static let nodes = (0..<4).map { ServerAddress(host: "n\($0)", port: 6379) }
    /// Of each epoch: the first half of the slots is one node's, the rest another's, and a failover makes the third one's.
    static let maps = (0..<8).map { epoch in
        map(epoch, nodes[epoch % 2 == 0 ? 0 : 2], nodes[1])
    }

    static func map(_ epoch: Int, _ first: ServerAddress, _ second: ServerAddress, last: Int = 16_383) -> ClusterMap {
        var draft = ClusterMap.Draft()
        // They neither overlap nor are many.
        try? draft.give(0...8191, to: first)
        try? draft.give(8192...last, to: second)
        return draft.map(epoch: epoch)
    }

    var search: MapSearch
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(_ seeds: [ServerAddress] = [0, 1].map { Self.nodes[$0] }) {
        search = MapSearch(seeds)
    }

    mutating func start() -> [MapSearch.Action] { search.start(at: now, jitter: 0.5) }

    mutating func hear(_ node: Int, _ map: ClusterMap) -> [MapSearch.Action] {
        search.heard(.success(map), from: Self.nodes[node], at: now, jitter: 0.5)
    }

    mutating func fail(
        _ node: Int, _ error: RedisError = .notConnected("connection refused")
    ) -> [MapSearch.Action] {
        search.heard(.failure(error), from: Self.nodes[node], at: now, jitter: 0.5)
    }

    mutating func doubt() -> [MapSearch.Action] { search.doubt(at: now, jitter: 0.5) }

    mutating func wait(_ time: TimeAmount) -> [MapSearch.Action] {
        now = now + time
        return search.tick(at: now, jitter: 0.5)
    }

    /// To when something is due.
    mutating func waitForIt() -> [MapSearch.Action] {
        wait(search.nextTick(after: now) - now)
    }

    /// Whoever is asked answers, and whom that leads to. All that was said to do.
    mutating func answer(
        _ actions: [MapSearch.Action], _ reply: (ServerAddress) -> Result<ClusterMap, RedisError>
    ) -> [MapSearch.Action] {
        var (all, rest) = (actions, actions.asked)
        while !rest.isEmpty {
            let node = rest.removeFirst()
            let more = search.heard(reply(node), from: node, at: now, jitter: 0.5)
            all += more
            rest += more.asked
        }
        return all
    }

    /// With a map that both seeds have told, the second one last.
    mutating func settle(_ map: ClusterMap = Self.maps[2]) {
        _ = start()
        _ = hear(0, map)
        _ = hear(1, map)
    }
}

extension [MapSearch.Action] {
    var asked: [ServerAddress] {
        compactMap { if case .ask(let node) = $0 { node } else { nil } }
    }

    var published: [ClusterMap] {
        compactMap { if case .publish(let map) = $0 { map } else { nil } }
    }

    var said: [MapSearch.Saying] {
        compactMap { if case .say(let saying) = $0 { saying } else { nil } }
    }

    var reasons: [RedisError] {
        compactMap { if case .despair(let error) = $0 { error } else { nil } }
    }
}
