// SPDX-License-Identifier: Apache-2.0

import Directory
import NIOConcurrencyHelpers
import Testing

@testable import tollgate

/// How often Redis is asked who runs, however often `/status` is.
@Suite struct FleetTests {
    /// Time goes on when it is told to.
    private final class Clock: Sendable {
        private let elapsed = NIOLockedValueBox(Duration.zero)
        private let start = ContinuousClock.now

        func now() -> ContinuousClock.Instant { start + elapsed.withLockedValue { $0 } }
        func advance(by duration: Duration) { elapsed.withLockedValue { $0 += duration } }
    }

    private func reasons(_ answer: Fleet.Answer) -> String {
        switch answer {
        case .unknown(let reason): reason
        case .live: "live"
        }
    }

    @Test func aGreedyAskerAsksRedisOnceInFiveSeconds() async {
        let (clock, asked) = (Clock(), NIOLockedValueBox(0))
        let fleet = Fleet(now: clock.now) {
            let count = asked.withLockedValue { count in
                count += 1
                return count
            }
            return .unknown("\(count)")
        }
        var told: Set<String> = []
        for _ in 0..<1_000 { told.insert(reasons(await fleet.answer)) }
        clock.advance(by: .milliseconds(4_999))
        told.insert(reasons(await fleet.answer))
        #expect(told == ["1"])
        clock.advance(by: .milliseconds(1))
        for _ in 0..<1_000 { told.insert(reasons(await fleet.answer)) }
        #expect(told == ["1", "2"])
        #expect(asked.withLockedValue { $0 } == 2)
    }

    /// A page asks again and again, and the sidecar's own beat has told it.
    @Test func whatWasHeardLatelyIsNotAskedFor() async {
        let heard = NIOLockedValueBox<[Sidecars.Live]?>([])
        let fleet = Fleet(heard: { heard.withLockedValue { $0 } }) { .unknown("asked") }
        #expect(reasons(await fleet.lately) == "live")
        #expect(reasons(await fleet.answer) == "asked")
        heard.withLockedValue { $0 = nil }
        #expect(reasons(await fleet.lately) == "asked")
    }

    /// While Redis is silent, all wait for one answer.
    @Test func askersWaitTogether() async {
        let (clock, asked) = (Clock(), NIOLockedValueBox(0))
        let (gate, open) = AsyncStream<Never>.makeStream()
        let fleet = Fleet(now: clock.now) {
            asked.withLockedValue { $0 += 1 }
            for await _ in gate {}
            return .unknown("late")
        }
        await withTaskGroup(of: String.self) { tasks in
            for _ in 0..<100 { tasks.addTask { reasons(await fleet.answer) } }
            open.finish()
            for await reason in tasks { #expect(reason == "late") }
        }
        #expect(asked.withLockedValue { $0 } == 1)
    }
}
