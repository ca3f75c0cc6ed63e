// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis
import Testing

@testable import Admission

@Suite struct HealthTests {
    enum Step {
        case answer
        /// A decision that began to wait so many answers ago has none.
        case timeout(ago: Int)
        case see(isOurs: Bool)
    }

    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test(
        arguments: [
            ([.timeout(ago: 0), .timeout(ago: 0)], .working),
            ([.timeout(ago: 0), .timeout(ago: 0), .timeout(ago: 0)], .silent),
            // A word in between, or while one of them waited.
            ([.timeout(ago: 0), .timeout(ago: 0), .answer, .timeout(ago: 0)], .working),
            ([.answer, .timeout(ago: 1), .timeout(ago: 1), .timeout(ago: 1)], .working),
            ([.timeout(ago: 0), .timeout(ago: 0), .timeout(ago: 0), .answer], .working),
            ([.see(isOurs: true)], .working),
            ([.see(isOurs: false)], .swapped),
            ([.see(isOurs: false), .answer], .swapped),
            ([.see(isOurs: false), .see(isOurs: true)], .working),
            // It stays swapped, however silent.
            ([.see(isOurs: false), .timeout(ago: 0), .timeout(ago: 0), .timeout(ago: 0)], .swapped),
            ([.timeout(ago: 0), .timeout(ago: 0), .timeout(ago: 0), .see(isOurs: false)], .swapped),
        ] as [([Step], Health.Condition)])
    func isWhatItsAnswersShow(steps: [Step], condition: Health.Condition) {
        var health = Health(at: Self.start)
        for step in steps {
            switch step {
            case .answer: _ = health.noteAnswer()
            case .timeout(let ago): _ = health.noteSilence(since: health.answers - ago)
            case .see(let isOurs): _ = health.compare(isOurs: isOurs)
            }
        }
        #expect(health.condition == condition)
    }

    @Test func eachChangeIsNewsOnce() {
        var health = Health(at: Self.start)
        let silences = (0..<5).map { _ in health.noteSilence(since: 0) }
        #expect(silences == [false, false, true, false, false])
        let answers = (0..<2).map { _ in health.noteAnswer() }
        #expect(answers == [true, false])
        let comparisons = [true, false, false, true].map { health.compare(isOurs: $0) }
        #expect(comparisons == [.asBefore, .swapped, .asBefore, .restored])
    }

    /// How many ms after the one before the next probe is due.
    @Test(arguments: [
        (Health.Condition.working, false, 5_000), (.working, true, 1_000), (.silent, false, 100), (.silent, true, 100),
        (.swapped, false, 1_000),
    ])
    func probesAsOftenAsThereIsReason(condition: Health.Condition, isRefused: Bool, interval: Int64) {
        var health = Health(at: Self.start)
        if isRefused { _ = health.noteRefusal(.memory, of: RedisScript.admit, isNeeded: true, at: Self.start) }
        switch condition {
        case .working: break
        case .silent: for _ in 0..<3 { _ = health.noteSilence(since: 0) }
        case .swapped: _ = health.compare(isOurs: false)
        }
        let due = Self.start + .milliseconds(interval)
        let first = [due - .nanoseconds(1), due, due + .seconds(60)].map { health.beginProbe(at: $0) }
        // One at a time.
        #expect(first == [false, true, false])
        health.endProbe()
        let next = due + .milliseconds(interval)
        let second = [next - .nanoseconds(1), next].map { health.beginProbe(at: $0) }
        #expect(second == [false, true])
    }

    @Test func refusalsAreToldAsTheyChange() {
        var health = Health(at: Self.start)
        let before = health.settleRefusals(at: Self.start)
        #expect(before?.new == nil)
        let change = health.noteRefusal(.memory, of: RedisScript.admit, isNeeded: true, at: Self.start)
        #expect(change.old == [])
        #expect(change.new == [.memory])
        #expect(health.refusal == .memory)
        health.noteSuccess(of: RedisScript.admit, at: Self.start + .milliseconds(500))
        let stillNoted = health.settleRefusals(at: Self.start + .milliseconds(900))
        #expect(stillNoted?.new == [.memory])
        let over = health.settleRefusals(at: Self.start + .seconds(1))
        #expect(over?.old == [.memory])
        #expect(over?.new == [])
        #expect(health.refusal == nil)
        #expect(health.condition == .working)
    }
}
