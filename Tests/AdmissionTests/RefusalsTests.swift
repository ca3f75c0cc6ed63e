// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis
import Testing

@testable import Admission

@Suite struct RefusalsTests {
    enum Step {
        case refuse(RedisScript, RedisFault)
        case carryOut(RedisScript)
    }

    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let (admit, probe, lookup) = (RedisScript.admit, RedisScript.instance, RedisScript.lookup)
    private static let (correct, usage) = (RedisScript.correct, RedisScript.usage)

    /// What keeps requests from being decided after each step, each so many seconds after the start. Each refusal is twenty.
    @Test(
        arguments: [
            // One script: as long as that one isn't carried out.
            (
                [
                    (0, .refuse(admit, .permissions)), (2, .carryOut(probe)), (3, .carryOut(lookup)),
                    (4, .carryOut(admit)),
                ], [.permissions, .permissions, .permissions, nil]
            ),
            // It is carried out now and then: where it has nothing to write.
            (
                [
                    (0, .refuse(admit, .permissions)), (0.1, .carryOut(admit)), (0.2, .refuse(admit, .permissions)),
                    (0.9, .carryOut(admit)), (1.2, .carryOut(probe)),
                ], [.permissions, .permissions, .permissions, .permissions, nil]
            ),
            // Nobody needs it any more.
            (
                [(0, .refuse(admit, .permissions)), (29.9, .carryOut(probe)), (30, .carryOut(probe))],
                [.permissions, .permissions, nil]
            ),
            // A full memory refuses those that aren't let through on purpose, so others tell nothing of it.
            (
                [
                    (0, .refuse(admit, .memory)), (2, .carryOut(correct)), (3, .carryOut(probe)), (4, .carryOut(admit)),
                ], [.memory, .memory, .memory, nil]
            ),
            ([(0, .refuse(usage, .memory))], [nil]),
            // All scripts: any of them.
            ([(0, .refuse(usage, .replica)), (2, .carryOut(probe))], [.replica, nil]),
            ([(0, .refuse(probe, .persistence)), (2, .carryOut(lookup))], [.persistence, nil]),
            // One follows another.
            (
                [(0, .refuse(admit, .memory)), (1, .refuse(probe, .replica)), (3, .carryOut(admit))],
                [.memory, .memory, nil]
            ),
            (
                [
                    (0, .refuse(admit, .permissions)), (1, .refuse(probe, .memory)), (3, .carryOut(probe)),
                    (4, .carryOut(admit)),
                ], [.permissions, .permissions, .permissions, nil]
            ),
            // Requests are decided without what is written behind them.
            ([(0, .refuse(usage, .permissions)), (0, .refuse(correct, .permissions))], [nil, nil]),
        ] as [([(Double, Step)], [RedisFault?])])
    func areOverWhereTheyWouldHaveShown(steps: [(Double, Step)], outages: [RedisFault?]) {
        var refusals = Refusals()
        let seen = steps.map { seconds, step in
            let now = Self.start + .milliseconds(Int64(seconds * 1000))
            switch step {
            case .refuse(let script, let fault):
                for _ in 0..<Refusals.manyEnough {
                    refusals.add(
                        fault, code: nil, to: script, isNeeded: Gate.neededScripts.contains(script), at: now)
                }
            case .carryOut(let script): refusals.noteSuccess(of: script, at: now)
            }
            refusals.settle(at: now)
            return refusals.outage?.fault
        }
        #expect(seen == outages)
    }

    @Test func whatNoRequestNeedsIsToldAllTheSame() {
        var refusals = Refusals()
        refusals.add(.permissions, code: "NOPERM", to: Self.usage, isNeeded: false, at: Self.start)
        #expect(refusals.troubles == [.refusal(.permissions)])
        #expect(!refusals.areCounting)
    }

    /// A script that is carried out where it has nothing to write decides for nobody who is to be charged.
    @Test func oneScriptThatIsRefusedNowAndThenStaysAnOutage() {
        var refusals = Refusals()
        for _ in 0..<20 {
            refusals.add(.permissions, code: "NOPERM", to: Self.admit, isNeeded: true, at: Self.start)
        }
        refusals.noteSuccess(of: Self.admit, at: Self.start)
        refusals.add(.permissions, code: "NOPERM", to: Self.admit, isNeeded: true, at: Self.start)
        #expect(refusals.outage?.code == "NOPERM")
    }

    /// A sidecar with few callers is of no use either where each of them is refused.
    @Test func fewAreAnOutageOnceNothingWasDecidedForLong() {
        func refusals(_ times: Int, of script: RedisScript) -> Refusals {
            var refusals = Refusals()
            for _ in 0..<times {
                refusals.add(.permissions, code: "NOPERM", to: script, isNeeded: true, at: Self.start)
            }
            return refusals
        }
        func isOutage(_ refusals: Refusals, after time: TimeAmount) -> Bool {
            var refusals = refusals
            refusals.settle(at: Self.start + time)
            return refusals.outage != nil
        }
        #expect(!isOutage(refusals(2, of: Self.admit), after: .seconds(29)))
        let few = refusals(3, of: Self.admit)
        #expect(!isOutage(few, after: Refusals.longEnough - .nanoseconds(1)))
        #expect(isOutage(few, after: Refusals.longEnough))
        // Others that are carried out decide nothing, and the script itself does.
        var (probed, served) = (few, few)
        probed.noteSuccess(of: Self.probe, at: Self.start + .seconds(4))
        served.noteSuccess(of: Self.admit, at: Self.start + .seconds(4))
        #expect(isOutage(probed, after: Refusals.longEnough))
        #expect(!isOutage(served, after: Refusals.longEnough))
        // Whoever is served has no need of the plan that others have.
        var others = refusals(3, of: .plan)
        others.noteSuccess(of: Self.admit, at: Self.start + .seconds(4))
        #expect(!isOutage(others, after: .seconds(8)))
        #expect(isOutage(others, after: .seconds(9)))
    }

    @Test func anOutageOfFewIsOverAsThatOfMany() {
        var refusals = Refusals()
        for _ in 0..<3 {
            refusals.add(.permissions, code: "NOPERM", to: Self.admit, isNeeded: true, at: Self.start)
        }
        refusals.settle(at: Self.start + .seconds(5))
        #expect(!refusals.areCounting)
        refusals.add(.permissions, code: "NOPERM", to: Self.admit, isNeeded: true, at: Self.start + .seconds(6))
        #expect(refusals.outage?.code == "NOPERM")
        refusals.noteSuccess(of: Self.admit, at: Self.start + .seconds(7))
        refusals.settle(at: Self.start + .seconds(7))
        #expect(refusals.isEmpty)
    }

    /// To be refused now and then keeps nobody else from being served.
    @Test func onlyTwentyInARowAreAnOutage() {
        var refusals = Refusals()
        func refuse(_ times: Int) {
            for _ in 0..<times {
                refusals.add(.persistence, code: "MISCONF", to: Self.admit, isNeeded: true, at: Self.start)
            }
        }
        refuse(19)
        #expect(refusals.outage == nil)
        #expect(refusals.areCounting)
        refusals.noteSuccess(of: Self.admit, at: Self.start)
        refuse(19)
        #expect(refusals.outage == nil)
        refuse(1)
        #expect(refusals.outage?.fault == .persistence)
        #expect(refusals.outage?.code == "MISCONF")
        #expect(!refusals.areCounting)
        // One success is no end yet; but who is refused now and then from there on is served again.
        refusals.noteSuccess(of: Self.admit, at: Self.start)
        #expect(refusals.outage?.code == "MISCONF")
        refuse(1)
        #expect(refusals.outage == nil)
        refusals.noteSuccess(of: Self.admit, at: Self.start)
        refusals.settle(at: Self.start + Refusals.quiet)
        #expect(refusals.outage == nil)
        #expect(refusals.isEmpty)
    }
}
