// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis
import TestSupport
import Testing

@testable import Admission

@Suite struct BreakerTests {
    enum Step {
        /// Somebody was answered in time.
        case word
        /// So many decisions were.
        case timely(Int)
        /// So many had no answer in time, each without a word for anybody or with one.
        case late(Int, isSilent: Bool)
        /// One couldn't be asked about.
        case miss
        case refusal(String)
        case unreachable, connected
        /// One that is sent now, or nothing where none is due.
        case probe(isInTime: Bool)
        case pass(Int64)
    }

    private static let start = NIODeadline.uptimeNanoseconds(60_000_000_000)
    private static let readOnly = Breaker.Cause.refusal(.replica, code: "READONLY")

    private static func run(_ steps: [Step]) -> Breaker {
        var (breaker, now) = (Breaker(), start)
        for step in steps {
            switch step {
            case .word: breaker.noteWord()
            case .timely(let count): for _ in 0..<count { breaker.noteTimely(at: now) }
            case .late(let count, let isSilent):
                for _ in 0..<count { breaker.noteLate(isSilent: isSilent, at: now) }
            case .miss: breaker.noteMiss(at: now)
            case .refusal(let code): breaker.noteRefusal(.replica, code: code, at: now)
            case .unreachable: breaker.noteUnreachable(at: now)
            case .connected: breaker.noteConnected()
            case .probe(let isInTime):
                if breaker.beginProbe(at: now, jitter: 0.5) { breaker.endProbe(isInTime: isInTime, at: now) }
            case .pass(let milliseconds): now = now + .milliseconds(milliseconds)
            }
        }
        return breaker
    }

    // MARK: Closed

    @Test(
        arguments: [
            ([], nil), ([.late(2, isSilent: true)], nil), ([.late(3, isSilent: true)], .lateness),
            ([.miss, .miss, .miss], .lateness), ([.late(2, isSilent: true), .miss], .lateness),
            // A word in between, or while they waited.
            ([.late(2, isSilent: true), .word, .late(2, isSilent: true)], nil),
            ([.late(19, isSilent: false)], nil),
            // In a row, however far apart.
            ([.late(2, isSilent: true), .pass(60_000), .late(1, isSilent: true)], .lateness),
            // READONLY is no word.
            ([.refusal("READONLY"), .refusal("READONLY")], nil),
            ([.refusal("READONLY"), .refusal("READONLY"), .refusal("READONLY")], readOnly),
            ([.refusal("READONLY"), .refusal("READONLY"), .word, .refusal("READONLY")], nil),
            ([.late(2, isSilent: true), .refusal("READONLY")], readOnly),
            ([.unreachable], .connection), ([.connected], nil),
        ] as [([Step], Breaker.Cause?)])
    func opensAtThreeWithoutAWord(steps: [Step], cause: Breaker.Cause?) {
        let breaker = Self.run(steps)
        #expect(breaker.cause == cause)
        #expect(breaker.state == (cause == nil ? .closed : .open))
    }

    @Test(
        arguments: [
            // Fewer than twenty tell nothing.
            ([.timely(9), .late(10, isSilent: false)], nil), ([.timely(10), .late(10, isSilent: false)], .lateness),
            ([.timely(11), .late(10, isSilent: false)], nil), ([.timely(11), .late(11, isSilent: false)], .lateness),
            // Of the last second.
            ([.timely(90), .pass(1_000), .timely(10), .late(10, isSilent: false)], .lateness),
            ([.timely(90), .pass(800), .timely(10), .late(10, isSilent: false)], nil),
            ([.late(19, isSilent: false), .pass(1_000), .late(1, isSilent: false)], nil),
            ([.late(10, isSilent: false), .pass(800), .timely(9), .late(1, isSilent: false)], .lateness),
            // A pause, however long.
            ([.late(19, isSilent: false), .pass(86_400_000), .late(19, isSilent: false)], nil),
        ] as [([Step], Breaker.Cause?)])
    func opensWhereHalfOfTwentyAreLate(steps: [Step], cause: Breaker.Cause?) {
        #expect(Self.run(steps).cause == cause)
    }

    // MARK: Open

    @Test(
        arguments: [
            ([.probe(isInTime: true)], .halfOpen), ([.probe(isInTime: false)], .open),
            // The second follows at once.
            ([.probe(isInTime: true), .probe(isInTime: true)], .closed),
            ([.probe(isInTime: true), .probe(isInTime: false)], .open),
            ([.probe(isInTime: true), .probe(isInTime: false), .probe(isInTime: true)], .open),
            (
                [
                    .probe(isInTime: true), .probe(isInTime: false), .pass(100), .probe(isInTime: true),
                    .probe(isInTime: true),
                ], .closed
            ),
            // After one that failed 100 ms pass.
            ([.probe(isInTime: false), .pass(99), .probe(isInTime: true)], .open),
            ([.probe(isInTime: false), .pass(100), .probe(isInTime: true)], .halfOpen),
            ([.connected], .closed), ([.probe(isInTime: true), .connected], .closed),
            // No life.
            ([.word, .timely(100)], .open), ([.refusal("READONLY")], .open), ([.unreachable], .open),
        ] as [([Step], Breaker.State)])
    func closesAfterTwoProbesInTime(steps: [Step], state: Breaker.State) {
        #expect(Self.run([.late(3, isSilent: true)] + steps).state == state)
    }

    @Test func whatItWasOpenedByIsForgotten() {
        let steps: [Step] = [.timely(10), .late(19, isSilent: false), .connected, .late(19, isSilent: false)]
        #expect(Self.run(steps).state == .closed)
    }

    /// An answer that is none tells more than none, and a connection that is lost less than what it was lost for.
    @Test func tellsWhatWasSeenOfItLast() {
        #expect(Self.run([.late(3, isSilent: true), .refusal("READONLY")]).cause == Self.readOnly)
        let refused = Array(repeating: Step.refusal("READONLY"), count: 3)
        #expect(Self.run(refused + [.unreachable]).cause == Self.readOnly)
        #expect(Self.run([.unreachable, .late(3, isSilent: true)]).cause == .connection)
    }

    @Test(arguments: [(0.0, 80), (0.5, 100), (1.0, 120)] as [(Double, Int64)])
    func probesEveryTenthOfASecond(jitter: Double, milliseconds: Int64) {
        var breaker = Self.run([.unreachable])
        let due = Self.start + .milliseconds(milliseconds)
        let first = breaker.beginProbe(at: Self.start, jitter: jitter)
        #expect(first)
        #expect(breaker.state == .halfOpen)
        breaker.endProbe(isInTime: false, at: Self.start)
        let next = [due - .nanoseconds(1), due].map { breaker.beginProbe(at: $0, jitter: jitter) }
        #expect(next == [false, true])
    }

    @Test func oneThatWasSentBeforeItOpenedIsAProbe() {
        var breaker = Self.run([.late(3, isSilent: true)])
        breaker.endProbe(isInTime: false, at: Self.start)
        #expect(breaker.state == .open)
        breaker.endProbe(isInTime: true, at: Self.start)
        #expect(breaker.state == .halfOpen)
        breaker.noteConnected()
        breaker.endProbe(isInTime: true, at: Self.start)
        #expect(breaker.state == .closed)
    }

    // MARK: Random schedules

    /// The rules once more, as a list of all that has happened.
    private struct Model {
        var isOpen = false
        var misses = 0
        var inTime = 0
        var ended: [(at: NIODeadline, isLate: Bool)] = []

        mutating func open() { (isOpen, misses, inTime) = (true, 0, 0) }

        mutating func close() { self = Model() }

        mutating func miss() {
            misses += 1
            if !isOpen, misses >= 3 { open() }
        }

        mutating func end(isLate: Bool, isSilent: Bool, at now: NIODeadline) {
            ended.append((now, isLate))
            guard isLate, !isOpen else { return }
            if isSilent { miss() }
            let newest = now.uptimeNanoseconds / 100_000_000
            let last = ended.filter { $0.at.uptimeNanoseconds / 100_000_000 + 10 > newest }
            if last.count >= 20, 2 * last.count(where: \.isLate) >= last.count { open() }
        }

        mutating func probe(isInTime: Bool) {
            guard isOpen else { return }
            inTime = isInTime ? inTime + 1 : 0
            if inTime == 2 { close() }
        }
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func goesByItsRulesWhateverHappens(seed: UInt64) {
        var (dice, breaker, model, now) = (SplitMix(seed: seed), Breaker(), Model(), Self.start)
        var (isProbing, opened, closed) = (false, 0, 0)
        let lateness = dice.next(below: 100)
        for _ in 0..<2_000 {
            let before = model.isOpen
            now = now + .milliseconds(Int64(dice.next(below: 40)))
            switch dice.next(below: 100) {
            case 0..<60:
                let (isLate, isSilent) = (dice.next(below: 100) < lateness, dice.next(below: 4) == 0)
                if isLate {
                    breaker.noteLate(isSilent: isSilent, at: now)
                } else {
                    breaker.noteTimely(at: now)
                    breaker.noteWord()
                    model.misses = 0
                }
                model.end(isLate: isLate, isSilent: isSilent, at: now)
            case 60..<66:
                breaker.noteRefusal(.busy, code: "LOADING", at: now)
                if !model.isOpen { model.miss() }
            case 66..<67:
                breaker.noteUnreachable(at: now)
                if !model.isOpen { model.open() }
            case 67..<68:
                breaker.noteConnected()
                model.close()
            case 68..<84 where !isProbing:
                isProbing = breaker.beginProbe(at: now, jitter: Double(dice.next(below: 101)) / 100)
                #expect(!isProbing || model.isOpen)
            case 84..<100 where isProbing:
                isProbing = false
                let isInTime = dice.next(below: 2) == 0
                breaker.endProbe(isInTime: isInTime, at: now)
                model.probe(isInTime: isInTime)
            default: break
            }
            #expect((breaker.state != .closed) == model.isOpen)
            #expect((breaker.cause != nil) == model.isOpen)
            if breaker.state == .open { #expect(model.inTime == 0) }
            if model.isOpen != before { if before { closed += 1 } else { opened += 1 } }
        }
        #expect(opened > 0)
        #expect(closed > 0)
    }
}
