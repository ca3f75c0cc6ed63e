// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Admission
@testable import Proxy

extension AdmittanceTests {
    /// Random decisions, pauses and departures, in every order the owner can tell them: the invariants in ``Admittance``'s
    /// comment hold after each.
    @Test func keepsItsInvariantsInAnyOrder() throws {
        let early = try Passage()
        // Its turn is later.
        var late = early
        for _ in 0..<100 { _ = late.pacing.delay(of: "acme/a", at: late.now) }
        var random = SplitMix(seed: 2611)
        for schedule in 0..<Rounds.usually(100_000) {
            var run = Run(.random(using: &random) ? early : late)
            run.begin(using: &random)
            for _ in 0..<12 where run.violation == nil { run.step(using: &random) }
            run.end()
            run.settleTurns()
            #expect(run.violation == nil, "schedule \(schedule)")
            if run.violation != nil { return }
        }
    }

    private struct Run {
        private enum State { case asking, waitingForRoom, waitingForTurn, reading, over }

        private(set) var violation: String?
        private var passage: Passage
        private var state = State.asking
        private var hasEnded = false
        /// A question whose answer has not come: it comes after the end too.
        private var isUnderWay = false
        private var waited: Int64 = 0
        private var given = 0
        private var returned = 0
        private var turns = 0
        private var outcomes = 0
        private var pending = false

        init(_ passage: Passage) { self.passage = passage }

        mutating func begin(using random: inout SplitMix) {
            passage.isFree = .random(using: &random)
            let kinds: [AdmissionRequest.Kind] = [.protected, .publicRoute, .announced, .refusal, .judged]
            let kind = kinds[random.next(below: kinds.count)]
            switch kind {
            case .refusal, .judged: pending = true
            default: break
            }
            ask(kind)
        }

        private mutating func ask(_ kind: AdmissionRequest.Kind) {
            note(
                passage.admittance.ask(AdmittanceTests.request(kind), refusing: pending ? .bodyTooLarge(limit: 1) : nil)
            )
        }

        private mutating func note(_ asked: AdmissionRequest) {
            if isUnderWay { violation = "two questions at a time" }
            if asked.waitedMicroseconds != waited { violation = "waited \(waited), told \(asked.waitedMicroseconds)" }
            state = .asking
            isUnderWay = true
        }

        mutating func step(using random: inout SplitMix) {
            switch random.next(below: 8) {
            case 0...3: if isUnderWay { decide(using: &random) }
            case 4...5: resume()
            case 6: if state == .reading, !hasEnded { ask(.protected) }
            default: if random.next(below: 3) == 0 { end() }
            }
        }

        private mutating func decide(using random: inout SplitMix) {
            isUnderWay = false
            let hasReceipt = Bool.random(using: &random)
            // A denial has taken nothing.
            let decision: Decision =
                switch random.next(below: 3) {
                case 0: .allow(AdmittanceTests.grant())
                case 1:
                    .deny(
                        AdmittanceTests.denial(
                            by: [random.next(below: 4)], retryAfter: Int64(random.next(below: 1_000_000))))
                default: .deny(Denial(reason: .revoked))
                }
            let receipt = if case .allow = decision, hasReceipt { AdmittanceTests.receipt(1) } else { Receipt?.none }
            let verdict = passage.admittance.decided(
                decision, receipt, by: AdmittanceTests.policies, isFree: passage.isFree, &passage.pacing,
                at: passage.now)
            if hasEnded {
                guard case .late(let back) = verdict, (back == nil) == (receipt == nil) else {
                    violation = "a decision after the end counts"
                    return
                }
                return
            }
            settle(verdict, receipt, decision)
        }

        private mutating func settle(_ verdict: Admittance.Verdict, _ receipt: Receipt?, _ decision: Decision) {
            switch verdict {
            case .forward:
                if pending { violation = "forwarded what is refused" }
                outcomes += 1
                if receipt != nil { given += 1 }
                state = .over
            case .readMessage: state = .reading
            case .waitForRoom(let pause):
                waited += pause.nanoseconds / 1_000
                if waited > 2_000_000 { violation = "waited \(waited) in all" }
                state = .waitingForRoom
            case .waitForTurn:
                if !passage.isFree { violation = "what is paid for waits for a turn" }
                turns += 1
                if receipt != nil { given += 1 }
                state = .waitingForTurn
            case .refuse, .refuseUnread:
                if !pending { violation = "refused for nothing" }
                outcomes += 1
                if receipt != nil { given += 1 }
                state = .over
            case .deny:
                outcomes += 1
                state = .over
            case .late: violation = "late before the end"
            }
            if outcomes > 1 { violation = "\(outcomes) outcomes" }
        }

        private mutating func resume() {
            guard !hasEnded, state == .waitingForRoom || state == .waitingForTurn else { return }
            switch passage.admittance.resume() {
            case .ask(let request):
                if state != .waitingForRoom { violation = "asked again after a turn" }
                note(request)
            case .forward:
                if state != .waitingForTurn { violation = "forwarded without a decision" }
                turns = 0
                outcomes += 1
                state = .over
            }
        }

        mutating func end() {
            if let caller = passage.admittance.giveUpTurn() {
                if caller != "acme/a" { violation = "gives up another's turn" }
                turns -= 1
            }
            if passage.admittance.end().receipt != nil { returned += 1 }
            hasEnded = true
        }

        mutating func settleTurns() {
            if turns != 0 { violation = "\(turns) turns kept" }
            // What an announcement was given holds nothing, and is forgotten.
            if returned < given || returned > given + 1 { violation = "\(given) given, \(returned) returned" }
            if passage.admittance.receipt != nil { violation = "holds a receipt after the end" }
        }
    }
}
