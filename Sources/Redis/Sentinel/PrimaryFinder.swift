// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOCore

/// Does what ``Topology`` says, on one event loop: asks sentinels, listens to them, and greets whom they name.
final class PrimaryFinder {
    /// What is heard of it.
    enum News {
        case primary(Primary)
        case none(RedisError)
        case saying(Topology.Saying)
        case report(TopologyReport)
    }

    /// For whoever is named, to greet us.
    private static let patience = TimeAmount.milliseconds(500)

    private let eventLoop: any EventLoop
    private let group: SentinelGroup
    private let listens: Bool
    private var endpoint: RedisEndpoint
    private var topology: Topology
    private var links: [ServerAddress: SentinelLink] = [:]
    private var timer: Scheduled<Void>?
    private var tell: ((News) -> Void)?

    /// - Parameters:
    ///   - endpoint: which names sentinels.
    ///   - listens: for switches, too; else it asks.
    init(
        _ endpoint: RedisEndpoint, _ group: SentinelGroup, listens: Bool, timing: Topology.Timing,
        on eventLoop: any EventLoop, tell: @escaping (News) -> Void
    ) {
        self.endpoint = endpoint
        self.group = group
        self.listens = listens
        self.eventLoop = eventLoop
        self.tell = tell
        topology = Topology(group.hosts, timing: timing)
    }

    func start() {
        perform(topology.start(at: eventLoop.now, jitter: .random(in: 0...1)))
    }

    /// By what others and we know each other may have changed.
    func go(by endpoint: RedisEndpoint) {
        guard endpoint != self.endpoint else { return }
        self.endpoint = endpoint
        for (address, link) in links { link.endpoint = endpoint.sentinel(at: address) }
    }

    func doubt() {
        guard tell != nil else { return }
        perform(topology.doubt(at: eventLoop.now))
    }

    func stop() {
        tell = nil
        timer?.cancel()
        for link in links.values { link.close() }
        links = [:]
    }

    // MARK: Performing

    private func perform(_ actions: [Topology.Action]) {
        guard let tell else { return }
        for action in actions {
            switch action {
            case .ask(let address): ask(address)
            case .giveUp(let address): links[address]?.giveUp()
            case .forget(let address): links.removeValue(forKey: address)?.close()
            case .meet(let primary): meet(primary)
            case .publish(let primary): tell(.primary(primary))
            case .despair(let misfit): tell(.none(.unfit(misfit)))
            case .say(let saying): tell(.saying(saying))
            }
        }
        tell(.report(topology.report(at: eventLoop.now)))
        schedule()
    }

    private func schedule() {
        timer?.cancel()
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: topology.nextTick(after: eventLoop.now)) {
            self.perform(self.topology.tick(at: self.eventLoop.now, jitter: .random(in: 0...1)))
        }
    }

    private func link(_ address: ServerAddress) -> SentinelLink {
        if let link = links[address] { return link }
        let link = SentinelLink(endpoint.sentinel(at: address), about: group.name, on: eventLoop)
        links[address] = link
        return link
    }

    private func ask(_ address: ServerAddress) {
        let link = link(address)
        link.ask { result in
            guard self.tell != nil else { return }
            if self.listens, case .success = result {
                link.listen { self.doubt() }
            }
            self.perform(self.topology.heard(result, from: address, at: self.eventLoop.now))
        }
    }

    private func meet(_ primary: Primary) {
        var isOver = false
        func end(_ failure: RedisError?) {
            guard !isOver, tell != nil else { return }
            isOver = true
            perform(topology.met(primary, failure: failure, at: eventLoop.now))
        }
        let endpoint = endpoint.server(at: primary.address)
        let timeout = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { end(.timeout) }
        endpoint.connect(on: eventLoop, timeout: Self.patience, longestReply: 64 * 1024, longestQueue: 16)
            .assumeIsolated().whenComplete { result in
                switch result {
                case .failure(let error):
                    timeout.cancel()
                    end(RedisError(connecting: error))
                case .success(let bound):
                    let handler = bound.value
                    guard !isOver else { return handler.close(.timeout) }
                    let limit = self.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
                        handler.close(.timeout)
                    }
                    handler.greet(endpoint, isCautious: true, before: .distantFuture) { greeted in
                        timeout.cancel()
                        limit.cancel()
                        handler.close(.shutdown)
                        if case .failure(let error) = greeted { end(error) } else { end(nil) }
                    }
                }
            }
    }
}
