// SPDX-License-Identifier: Apache-2.0

import Admission
import Logging
import NIOCore
import NIOEmbedded
import Settings
import TestSupport
import Testing

@testable import Proxy

/// Configurations end when nobody goes by them any more, and what several of them have ends once.
@Suite struct EpochsTests {
    private let eventLoop = EmbeddedEventLoop()
    private let log = RecordedLog()
    private let snapshot: Snapshot

    init() throws {
        snapshot = try Snapshot(Settings.parse(EmbeddedClient.configuration, named: "test.yaml"))
    }

    private func gate() -> Gate {
        Gate.withoutRedis(snapshot.admission, knowing: [], on: eventLoop, logger: log.logger)
    }

    private func pool() -> UpstreamPool {
        let eventLoop = eventLoop
        let clock = LoopClock { eventLoop.now }
        let connector = UpstreamConnector(configuration: snapshot.upstream, resolver: nil, on: eventLoop, clock: clock)
        return UpstreamPool(
            configuration: snapshot.upstream, capacity: 1, connector: connector, clock: clock,
            trouble: Troubles(logger: log.logger).connecting)
    }

    private func close(_ gates: Gate..., pools: [UpstreamPool]) {
        for gate in gates { gate.close() }
        for pool in pools { pool.close() }
        eventLoop.run()
    }

    @Test func whatTwoSharedThatEndTogetherEndsOnce() {
        let (gates, pools) = ([gate(), gate()], [pool(), pool()])
        var epochs = Epochs(Epoch(snapshot, gate: gates[0], pool: pools[0]))
        epochs.prepare(Epoch(snapshot, gate: gates[0], pool: pools[0]))
        epochs.advance()
        epochs.prepare(Epoch(snapshot, gate: gates[1], pool: pools[1]))
        epochs.advance()
        var seen: [ObjectIdentifier] = []
        epochs.forEachGate { seen.append(ObjectIdentifier($0)) }
        epochs.forEachPool { seen.append(ObjectIdentifier($0)) }
        let each: [AnyObject] = [gates[1], gates[0], pools[1], pools[0]]
        #expect(seen == each.map(ObjectIdentifier.init))

        let ended = epochs.settle()
        #expect(ended.count == 2)
        #expect(ended.compactMap(\.gate).map(ObjectIdentifier.init) == [ObjectIdentifier(gates[0])])
        #expect(ended.compactMap(\.pool).map(ObjectIdentifier.init) == [ObjectIdentifier(pools[0])])
        #expect(epochs.former.isEmpty)
        close(gates[0], gates[1], pools: pools)
    }

    @Test func whatTheCurrentOneHasTooGoesOn() {
        let (gate, pools) = (gate(), [pool(), pool()])
        var epochs = Epochs(Epoch(snapshot, gate: gate, pool: pools[0]))
        epochs.prepare(Epoch(snapshot, gate: gate, pool: pools[1]))
        epochs.advance()
        let ended = epochs.settle()
        #expect(ended.map { $0.gate == nil } == [true])
        #expect(ended.compactMap(\.pool).map(ObjectIdentifier.init) == [ObjectIdentifier(pools[0])])
        close(gate, pools: pools)
    }

    @Test func anEpochThatAnExchangeHasStays() {
        let (gates, pool) = ([gate(), gate()], pool())
        var epochs = Epochs(Epoch(snapshot, gate: gates[0], pool: pool))
        var held: Epoch? = epochs.current
        epochs.prepare(Epoch(snapshot, gate: gates[1], pool: pool))
        epochs.advance()
        #expect(epochs.settle().isEmpty)
        #expect(held?.gate === gates[0])
        held = nil
        let ended = epochs.settle()
        #expect(ended.map { $0.gate === gates[0] } == [true])
        #expect(ended.map { $0.pool == nil } == [true])
        close(gates[0], gates[1], pools: [pool])
    }

    /// The handler has yet to take what a tunnel's client left, by a pool that nobody else has.
    @Test func anEpochWhosePoolAwaitsAnEndStays() throws {
        let (gate, pools) = (gate(), [pool(), pool()])
        let target = try #require(UpstreamTargets([SocketAddress(ipAddress: "127.0.0.1", port: 1)]).all.first)
        for pool in pools { pool.awaitEnd(of: UpstreamConnection(pool: pool, target: target, headLimit: 1024)) }
        var epochs = Epochs(Epoch(snapshot, gate: gate, pool: pools[0]))
        for _ in 0..<2 {
            epochs.prepare(Epoch(snapshot, gate: gate, pool: pools[1]))
            epochs.advance()
        }
        #expect(epochs.settle().map { $0.pool == nil } == [true])
        #expect(epochs.former.map { $0.pool === pools[0] } == [true])
        pools[0].expire(at: eventLoop.now + .seconds(1))
        #expect(epochs.settle().map { $0.pool === pools[0] } == [true])
        close(gate, pools: pools)
    }

    /// A configuration that is not to be takes nothing with it that others have.
    @Test func theNextOneIsDiscardedWithWhatItAloneHas() {
        let (gates, pool) = ([gate(), gate()], pool())
        var epochs = Epochs(Epoch(snapshot, gate: gates[0], pool: pool))
        #expect(epochs.discard().map { _ in } == nil)
        epochs.prepare(Epoch(snapshot, gate: gates[1], pool: pool))
        let ended = epochs.discard()
        #expect(ended?.gate === gates[1])
        #expect(ended?.pool == nil)
        #expect(epochs.current.gate === gates[0])
        close(gates[0], gates[1], pools: [pool])
    }
}
