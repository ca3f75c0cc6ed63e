// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

@testable import Redis

/// A topology with a clock of its own, and what it has said to do.
struct TopologyDriver {
    static let hosts = (1...3).map { ServerAddress(host: "s\($0)", port: 26379) }
    static let a = ServerAddress(host: "a", port: 6379)
    static let b = ServerAddress(host: "b", port: 6379)

    var topology: Topology
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(_ hosts: [ServerAddress] = Self.hosts) {
        topology = Topology(hosts)
    }

    mutating func start() -> [Topology.Action] { topology.start(at: now, jitter: 0.5) }

    mutating func hear(
        _ sentinel: Int, _ address: ServerAddress, _ epoch: Int, others: [SentinelReport.Other] = []
    ) -> [Topology.Action] {
        hear(from: Self.hosts[sentinel], address, epoch, others: others)
    }

    mutating func hear(
        from sentinel: ServerAddress, _ address: ServerAddress, _ epoch: Int, others: [SentinelReport.Other] = []
    ) -> [Topology.Action] {
        let report = SentinelReport(primary: Primary(at: address, epoch: epoch), id: "\(sentinel)", others: others)
        return topology.heard(.success(report), from: sentinel, at: now)
    }

    mutating func fail(_ sentinel: Int) -> [Topology.Action] {
        topology.heard(.failure(.notConnected("connection refused")), from: Self.hosts[sentinel], at: now)
    }

    mutating func meet(_ address: ServerAddress, _ epoch: Int, failure: RedisError? = nil) -> [Topology.Action] {
        topology.met(Primary(at: address, epoch: epoch), failure: failure, at: now)
    }

    mutating func wait(_ time: TimeAmount) -> [Topology.Action] {
        now = now + time
        return topology.tick(at: now, jitter: 0.5)
    }

    /// All three name it, and it is met.
    mutating func settle(_ address: ServerAddress = Self.a, _ epoch: Int = 1) {
        _ = start()
        for sentinel in 0...2 { _ = hear(sentinel, address, epoch) }
        _ = meet(address, epoch)
    }

    /// The next round of questions, each answered so.
    mutating func round(_ answers: (ServerAddress, Int)?...) -> [Topology.Action] {
        var actions = wait(.seconds(1))
        for (index, answer) in answers.enumerated() {
            if let answer {
                actions += hear(index, answer.0, answer.1)
            } else {
                actions += fail(index)
            }
        }
        return actions
    }
}

extension [Topology.Action] {
    var published: [Primary] {
        compactMap { if case .publish(let primary) = $0 { primary } else { nil } }
    }

    var met: [ServerAddress] {
        compactMap { if case .meet(let primary) = $0 { primary.address } else { nil } }
    }

    var said: [Topology.Saying] {
        compactMap { if case .say(let saying) = $0 { saying } else { nil } }
    }

    var asked: [ServerAddress] {
        compactMap { if case .ask(let address) = $0 { address } else { nil } }
    }

    var reasons: [String] {
        compactMap { if case .despair(let misfit) = $0 { "\(misfit)" } else { nil } }
    }
}
