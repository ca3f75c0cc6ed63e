// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// Does what ``MapSearch`` says, on one event loop: asks the nodes of a cluster.
final class MapFinder {
    /// What is heard of it.
    enum News {
        case map(ClusterMap)
        case none(RedisError)
        case saying(MapSearch.Saying)
    }

    /// Of a cluster as large as may be, with its slots in many pieces.
    private static let longestReply = 1024 * 1024

    private let eventLoop: any EventLoop
    private let connectTimeout: TimeAmount
    private var endpoint: RedisEndpoint
    private var search: MapSearch
    private var links: [ServerAddress: QuestionLink] = [:]
    private var timer: Scheduled<Void>?
    private var tell: ((News) -> Void)?

    /// - Parameter endpoint: which names the nodes.
    init(
        _ endpoint: RedisEndpoint, _ seeds: ClusterSeeds, timing: MapSearch.Timing, on eventLoop: any EventLoop,
        tell: @escaping (News) -> Void
    ) {
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.tell = tell
        connectTimeout = timing.first
        search = MapSearch(seeds.hosts, timing: timing)
    }

    func start() {
        perform(search.start(at: eventLoop.now, jitter: .random(in: 0...1)))
    }

    /// By what the nodes and we know each other may have changed.
    func go(by endpoint: RedisEndpoint) {
        guard endpoint != self.endpoint else { return }
        self.endpoint = endpoint
        for (address, link) in links { link.endpoint = endpoint.member(at: address) }
    }

    func doubt() {
        guard tell != nil else { return }
        perform(search.doubt(at: eventLoop.now, jitter: .random(in: 0...1)))
    }

    func stop() {
        tell = nil
        timer?.cancel()
        for link in links.values { link.close() }
        links = [:]
    }

    // MARK: Performing

    private func perform(_ actions: [MapSearch.Action]) {
        guard let tell else { return }
        for action in actions {
            switch action {
            case .ask(let node): ask(node)
            case .giveUp(let node): links[node]?.giveUp()
            case .forget(let node): links.removeValue(forKey: node)?.close()
            case .publish(let map): tell(.map(map))
            case .despair(let error): tell(.none(error))
            case .say(let saying): tell(.saying(saying))
            }
        }
        schedule()
    }

    private func schedule() {
        timer?.cancel()
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: search.nextTick(after: eventLoop.now)) {
            self.perform(self.search.tick(at: self.eventLoop.now, jitter: .random(in: 0...1)))
        }
    }

    private func link(_ node: ServerAddress) -> QuestionLink {
        if let link = links[node] { return link }
        let link = QuestionLink(
            endpoint.member(at: node), patience: connectTimeout, longestReply: Self.longestReply, on: eventLoop)
        links[node] = link
        return link
    }

    private func ask(_ node: ServerAddress) {
        let link = link(node)
        let isSecured = endpoint.security != nil
        link.ask(ClusterMap.questions) { answers in
            switch answers {
            case .failure(let error): self.heard(.failure(error), from: node)
            case .success(let replies):
                if case .failure(let error) = replies[0], error.meansNoShards { return self.askSimply(node, by: link) }
                self.heard(
                    Result { () throws(RedisError) in
                        try ClusterMap(
                            shards: try replies[0].get(), nodes: try? replies[1].get(), of: node, isSecured: isSecured)
                    }, from: node)
            }
        }
    }

    private func askSimply(_ node: ServerAddress, by link: QuestionLink) {
        link.ask([ClusterMap.simplerQuestion]) { answers in
            self.heard(
                Result { () throws(RedisError) in
                    try ClusterMap(slots: try (try answers.get())[0].get(), of: node)
                }, from: node)
        }
    }

    private func heard(_ result: Result<ClusterMap, RedisError>, from node: ServerAddress) {
        guard tell != nil else { return }
        perform(search.heard(result, from: node, at: eventLoop.now, jitter: .random(in: 0...1)))
    }
}

extension RedisError {
    /// It has no such command, or none for us.
    fileprivate var meansNoShards: Bool {
        fault == .permissions || (fault == .other && serverCode == "ERR")
    }
}
