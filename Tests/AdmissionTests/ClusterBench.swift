// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
import Limits
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import Admission
@testable import Redis

/// A cluster on a loop whose clock the test moves: a stub for each primary, and a map that the test draws.
final class ClusterBench {
    let loop = EmbeddedEventLoop()
    let store: Store
    let instance: Instance
    private let stubs: Stubs
    private let surroundings: Surroundings

    /// What stands for the servers and the watch.
    private final class Stubs {
        var byAddress: [ServerAddress: StubLink] = [:]
        var map: ClusterMap?
        var doubts = 0
        var isLeft = false
    }

    init(
        instance: Instance = Instance(), policies: [Policy] = [], logger: Logger = Bench.logger
    ) {
        let (loop, stubs) = (loop, Stubs())
        self.stubs = stubs
        self.instance = instance
        let surroundings = Surroundings(
            instance: instance, late: LateDecisions(), outages: Outages(), seen: SeenKeys(), wallClock: { 0 },
            logger: logger)
        self.surroundings = surroundings
        let configuration = Self.configuration(policies)
        func link(to address: ServerAddress?, by configuration: AdmissionConfiguration) -> StoreLink {
            StoreLink(configuration, at: "redis", on: loop, surroundings) { _ in
                guard let address else { return NoConnection(on: loop) { .broken(.notConnected("nobody")) } }
                let stub = StubLink(on: loop)
                stubs.byAddress[address] = stub
                return stub
            }
        }
        let nowhere = link(to: nil, by: configuration)
        store = Store(
            Shards(
                nowhere: nowhere,
                Shards.Terms(endpoint: RedisEndpoint(.tcp(host: "h", port: 1)), configuration: configuration),
                make: { link(to: $0, by: $1.configuration) }
            ) { _ in
                Shards.Source(
                    answer: { stubs.map.map(Result.success) }, doubt: { stubs.doubts += 1 }, go: { _ in },
                    leave: { stubs.isLeft = true })
            })
        store.start()
    }

    static func configuration(_ policies: [Policy]) -> AdmissionConfiguration {
        var configuration = Bench.configuration(policies)
        configuration.paysBySlot = true
        return configuration
    }

    static func address(_ port: Int) -> ServerAddress { ServerAddress(host: "127.0.0.1", port: port) }

    /// Tells anew who has what: the first and last hash slot of each port.
    func draw(_ slots: [(port: Int, first: Int, last: Int)]) throws {
        let rows = slots.map { row in
            RedisReply.array([
                .integer(Int64(row.first)), .integer(Int64(row.last)),
                .array([.text("127.0.0.1"), .integer(Int64(row.port)), .text("id\(row.port)")]),
            ])
        }
        stubs.map = try ClusterMap(slots: .array(rows), of: Self.address(1))
        shards.look()
    }

    /// Three primaries with a third each.
    func drawThree() throws {
        try draw([(1, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
    }

    var shards: Shards {
        guard let shards = store.shards else { preconditionFailure("It is a cluster") }
        return shards
    }

    subscript(port: Int) -> StubLink {
        guard let stub = stubs.byAddress[Self.address(port)] else { preconditionFailure("Nobody was connected to") }
        return stub
    }

    func has(_ port: Int) -> Bool { stubs.byAddress[Self.address(port)] != nil }

    var doubts: Int { stubs.doubts }
    var isLeft: Bool { stubs.isLeft }

    /// A name that a port has by the thirds of ``drawThree()``.
    static func name(of port: Int) -> String {
        let third = [0...5_460, 5_461...10_922, 10_923...16_383][port - 1]
        var number = 0
        while !third.contains(Int(HashSlot(of: "{o\(number)}").number)) { number += 1 }
        return "{o\(number)}"
    }

    /// Ticks every 10 ms.
    func pass(_ time: TimeAmount) {
        for _ in 0..<max(1, time.nanoseconds / 10_000_000) {
            loop.advanceTime(by: .milliseconds(10))
            store.expire(at: loop.now, having: .zero)
            store.tick(loop.now)
        }
    }
}
