// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis
import Testing

@testable import Admission

@Suite struct HealthTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func health() -> Health { Health(at: Self.start) }

    private func silent() -> Health {
        var health = health()
        for _ in 0..<3 { health.noteTimeout(since: 0, at: Self.start) }
        return health
    }

    @Test func onlyWhoWaitedWithoutAWordCounts() {
        var health = health()
        health.noteAnswer()
        // They began to wait before that answer.
        for _ in 0..<3 { health.noteTimeout(since: 0, at: Self.start) }
        #expect(health.breaker.state == .closed)
        for _ in 0..<3 { health.noteTimeout(since: 1, at: Self.start) }
        #expect(health.breaker.cause == .lateness)
    }

    @Test func whoCannotWaitForAConnectionOpensItAtOnce() {
        var refused = health()
        refused.noteUnconnected(couldWait: false, since: 0, at: Self.start)
        #expect(refused.breaker.cause == .connection)
        var waiting = health()
        for count in 1...3 {
            waiting.noteUnconnected(couldWait: true, since: 0, at: Self.start)
            #expect(waiting.breaker.cause == (count < 3 ? nil : .lateness))
        }
    }

    @Test func aSwapIsNewsOnceAndNoBreakersBusiness() {
        var health = silent()
        let comparisons = [true, false, false, true].map { health.compare(isOurs: $0) }
        #expect(comparisons == [.asBefore, .swapped, .asBefore, .restored])
        #expect(health.breaker.state == .open)
        _ = health.compare(isOurs: false)
        health.noteConnected()
        #expect(health.isSwapped)
        #expect(health.breaker.state == .closed)
    }

    enum Condition { case working, swapped, refusing, refused }

    /// How many ms after the one before the next probe is due.
    @Test(
        arguments: [
            (Condition.working, 5_000), (.swapped, 1_000),
            // Until it is known whether it goes on, and then.
            (.refusing, 100), (.refused, 1_000),
        ] as [(Condition, Int64)])
    func probesAsOftenAsThereIsReason(condition: Condition, interval: Int64) {
        var health = health()
        switch condition {
        case .working: break
        case .swapped: _ = health.compare(isOurs: false)
        case .refusing, .refused:
            for _ in 0..<(condition == .refused ? Refusals.manyEnough : 1) {
                _ = health.noteRefusal(
                    .memory, code: "OOM", of: RedisScript.admit, isNeeded: true, at: Self.start)
            }
        }
        let due = Self.start + .milliseconds(interval)
        let first = [due - .nanoseconds(1), due, due + .seconds(60)].map { health.beginProbe(at: $0, jitter: 0) }
        // One at a time.
        #expect(first == [false, true, false])
        health.endProbe(isInTime: true, at: due)
        let next = due + .milliseconds(interval)
        let second = [next - .nanoseconds(1), next].map { health.beginProbe(at: $0, jitter: 0) }
        #expect(second == [false, true])
    }

    @Test func probesThatAreInTimeCloseTheBreaker() {
        var health = silent()
        for count in 1...2 {
            let (sent, another) = (
                health.beginProbe(at: Self.start, jitter: 0), health.beginProbe(at: Self.start, jitter: 0)
            )
            #expect(sent)
            #expect(!another)
            health.endProbe(isInTime: true, at: Self.start)
            #expect(health.breaker.state == (count < 2 ? .halfOpen : .closed))
        }
    }

    @Test func refusalsAreToldAsTheyChange() {
        var health = health()
        let before = health.settleRefusals(at: Self.start)
        #expect(before == nil)
        for _ in 1...20 {
            let troubles = health.noteRefusal(
                .memory, code: "OOM", of: RedisScript.admit, isNeeded: true, at: Self.start)
            #expect(troubles == [.neededRefusal(.memory)])
        }
        #expect(health.refusal?.fault == .memory)
        #expect(health.refusal?.code == "OOM")
        health.noteSuccess(of: RedisScript.admit, at: Self.start + .milliseconds(500))
        let stillNoted = health.settleRefusals(at: Self.start + .milliseconds(900))
        #expect(stillNoted == [.neededRefusal(.memory)])
        let over = health.settleRefusals(at: Self.start + .seconds(1))
        #expect(over == [])
        #expect(health.refusal == nil)
        #expect(health.breaker.state == .closed)
    }
}
