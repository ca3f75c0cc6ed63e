// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Settings
import TestSupport
import Testing

@testable import Proxy

@Suite struct LoopReportsTests {
    private static func table(on group: MultiThreadedEventLoopGroup) async throws -> LoopTable {
        let settings = try Settings.parse("upstream: {url: http://127.0.0.1:1}", named: "test.yaml")
        let snapshot = try Snapshot(settings)
        let logger = RecordedLog().logger
        let shared = Shared(snapshot.bounds, troubles: Troubles(logger: logger), logger: logger)
        let backends = Backends(settings, logger: logger)
        return try await LoopTable(on: Array(group.makeIterator())) { eventLoop, index in
            let (clock, share) = (LoopClock(), LoopShare(index: index, count: 2))
            let epoch = Epoch(snapshot, backends, of: share, shared, on: eventLoop, clock)
            return Loop(on: eventLoop, epoch, share: share, shared, clock: clock)
        }
    }

    /// The first in which so many loops are unheard: on a busy machine one may have no processor for a second.
    private static func round(of reports: LoopReports, unheard: Int) async -> LoopReports.Round {
        var round = await reports.round()
        for _ in 0..<20 where round.unheard != unheard { round = await reports.round() }
        return round
    }

    @Test func aBusyLoopIsToldAsOfItsLastReport() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops = try await Self.table(on: group)
        let reports = LoopReports(of: loops, timer: MultiThreadedEventLoopGroup.singleton.next())
        _ = try await loops.map { $0.metrics.began() }
        let first = await Self.round(of: reports, unheard: 0)
        #expect(first.unheard == 0)
        #expect(first.reports.map { $0?.metrics.inFlight } == [1, 1])

        let gate = ConditionLock(value: 0)
        let busy = Array(group.makeIterator())[1]
        busy.execute {
            gate.lock(whenValue: 1)
            gate.unlock()
        }
        loops.tell { $0.metrics.began() }
        let second = await Self.round(of: reports, unheard: 1)
        #expect(second.unheard == 1)
        #expect(second.reports.map { $0?.metrics.inFlight } == [2, 1])

        gate.lock()
        gate.unlock(withValue: 1)
        _ = try await busy.submit {}.get()
        let third = await Self.round(of: reports, unheard: 0)
        #expect(third.unheard == 0)
        #expect(third.reports.map { $0?.metrics.inFlight } == [2, 2])

        reports.close()
        let last = await reports.round()
        #expect(last.reports.map { $0?.metrics.inFlight } == [2, 2])
        try await loops.wait { $0.close() }
        try await group.shutdownGracefully()
    }

    /// As many as like share a round; the next one begins 100 ms later.
    @Test func manyScrapesShareARound() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops = try await Self.table(on: group)
        let reports = LoopReports(of: loops, timer: MultiThreadedEventLoopGroup.singleton.next())
        var (unheard, rounds) = (0, 0)
        repeat {
            rounds += 1
            unheard = await withTaskGroup(of: Int.self) { scrapes in
                for _ in 0..<500 { scrapes.addTask { await reports.round().unheard } }
                return await scrapes.reduce(0, +)
            }
        } while unheard > 0 && rounds < 20
        #expect(unheard == 0)
        try await loops.wait { $0.close() }
        try await group.shutdownGracefully()
    }
}
