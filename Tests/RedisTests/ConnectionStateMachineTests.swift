// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct ConnectionStateMachineTests {
    private final class Link {}

    /// A machine and its clock; what it wants done, in a word.
    private final class Run {
        private var machine = RedisConnection.StateMachine<Link>(
            .init(
                preparation: .milliseconds(500), silence: .milliseconds(1500), afterLoss: .milliseconds(20),
                shortestBackoff: .milliseconds(100), longestBackoff: .milliseconds(500)))
        private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let link = Link()

        var isReady: Bool { machine.ready === link }

        /// Until it connects anew.
        var wait: TimeAmount? {
            if case .waiting(let until) = machine.state { until - now } else { nil }
        }

        func start() -> Bool { machine.start() }

        func connected() -> String {
            switch machine.connected(link, at: now) {
            case .prepare: "prepare"
            case .discard: "discard"
            }
        }

        func prepared(_ link: Link? = nil) -> Bool { machine.prepared(link ?? self.link, at: now) }

        func becomeReady() {
            _ = start()
            _ = connected()
            _ = prepared()
        }

        func refused(isLate: Bool = false, jitter: Double = 1) -> String { lost(nil, isLate: isLate, jitter: jitter) }

        func lost(_ link: Link?, idle: TimeAmount = .zero, isLate: Bool = false, jitter: Double = 1) -> String {
            switch machine.lost(link, at: now, idle: idle, isLate: isLate, jitter: jitter) {
            case .none: "nothing"
            case .renews: "renews"
            case .reconnects(after: .loss): "reconnects, was ready"
            case .reconnects(after: .refusal): "reconnects"
            case .reconnects(after: .delay): "reconnects, out of time"
            case .closed: "closed"
            }
        }

        func tick(after time: TimeAmount = .zero, silence: TimeAmount = .zero) -> String {
            now = now + time
            switch machine.tick(at: now, silence: { _ in silence }) {
            case .none: return "nothing"
            case .connect: return "connect"
            case .giveUp(let link, let error): return link === self.link ? "\(error)" : "another link"
            }
        }

        func move() -> String {
            switch machine.move() {
            case .none: "nothing"
            case .connect(insteadOf: let former): former === link ? "connect instead" : "connect"
            }
        }

        func close() -> String {
            switch machine.close() {
            case .close(let link): link === self.link ? "close" : "another link"
            case .await: "await"
            case .done: "done"
            }
        }
    }

    @Test func startsOnceAndIsReadyWhenPrepared() {
        let run = Run()
        #expect(run.start())
        #expect(!run.start())
        #expect(run.connected() == "prepare")
        #expect(!run.isReady)
        #expect(!run.prepared(Link()))
        #expect(run.prepared())
        #expect(run.isReady)
    }

    @Test(arguments: [(0.0, [0, 100, 200, 250, 250, 250]), (1.0, [100, 200, 400, 500, 500, 500])])
    func waitsTwiceAsLongEachTimeUpToTheLongest(_ jitter: Double, _ waits: [Int64]) {
        let run = Run()
        _ = run.start()
        for wait in waits {
            #expect(run.refused(jitter: jitter) == "reconnects")
            #expect(run.wait == .milliseconds(wait))
            if wait > 0 { #expect(run.tick(after: .milliseconds(wait) - .nanoseconds(1)) == "nothing") }
            #expect(run.tick(after: .nanoseconds(1)) == "connect")
        }
    }

    /// However often, it never waits for less or longer.
    @Test func aWaitIsBoundedAfterAnyNumberOfFailures() {
        let run = Run()
        _ = run.start()
        for _ in 0..<1_000 {
            _ = run.refused()
            _ = run.tick(after: .milliseconds(500))
        }
        _ = run.refused()
        #expect(run.wait == .milliseconds(500))
    }

    @Test(arguments: [(0.0, [0, 0, 100, 200]), (0.5, [10, 50, 150, 300]), (1.0, [20, 100, 200, 400])])
    func aSingleLossIsMendedAtOnceAndARefusalSpreadWider(_ jitter: Double, _ waits: [Int64]) {
        let run = Run()
        run.becomeReady()
        _ = run.tick(after: .seconds(1))
        #expect(run.lost(run.link, jitter: jitter) == "reconnects, was ready")
        #expect(run.wait == .milliseconds(waits[0]))
        for wait in waits.dropFirst() {
            #expect(run.tick(after: .milliseconds(500)) == "connect")
            #expect(run.refused(jitter: jitter) == "reconnects")
            #expect(run.wait == .milliseconds(wait))
        }
    }

    @Test(arguments: [(TimeAmount.milliseconds(999), TimeAmount.milliseconds(500)), (.seconds(1), .milliseconds(20))])
    func aConnectionThatLastedForgetsWhatFailedBefore(_ life: TimeAmount, _ wait: TimeAmount) {
        let run = Run()
        _ = run.start()
        for _ in 0..<5 {
            _ = run.refused()
            _ = run.tick(after: .seconds(1))
        }
        _ = run.connected()
        _ = run.prepared()
        _ = run.tick(after: life)
        #expect(run.lost(run.link) == "reconnects, was ready")
        #expect(run.wait == wait)
    }

    @Test func givesUpWhoNeverFinishesTheFirstCommands() {
        let run = Run()
        _ = run.start()
        _ = run.connected()
        #expect(run.tick(after: .milliseconds(499)) == "nothing")
        #expect(run.tick(after: .milliseconds(1)) == "not connected: no answer to the first commands")
        #expect(run.lost(run.link) == "reconnects, out of time")
        // It is frozen, and has been waited for long enough.
        #expect(run.wait == .zero)
        #expect(run.tick() == "connect")
        // One that ends it before is waited for.
        _ = run.connected()
        _ = run.tick(after: .milliseconds(499))
        #expect(run.lost(run.link) == "reconnects")
        #expect(run.wait == .milliseconds(200))
    }

    /// Nobody has refused it, so whoever waits may go on; but it isn't tried more often for that.
    @Test func anAttemptWithoutAnAnswerIsNoRefusal() {
        let run = Run()
        _ = run.start()
        #expect(run.refused(isLate: true) == "reconnects, out of time")
        #expect(run.wait == .milliseconds(100))
        #expect(run.tick(after: .milliseconds(100)) == "connect")
        #expect(run.refused() == "reconnects")
        #expect(run.wait == .milliseconds(200))
    }

    @Test func givesUpWhoIsSilent() {
        let run = Run()
        run.becomeReady()
        #expect(run.tick(silence: .milliseconds(1499)) == "nothing")
        #expect(run.tick(silence: .milliseconds(1500)) == "connection lost: no reply for 1500 ms")
    }

    @Test func newsOfAnotherConnectionChangeNothing() {
        let run = Run()
        run.becomeReady()
        #expect(run.lost(Link()) == "nothing")
        #expect(run.lost(nil) == "nothing")
        #expect(run.isReady)
        #expect(run.lost(run.link) == "reconnects, was ready")
        #expect(run.lost(run.link) == "nothing")
        #expect(!run.prepared())
    }

    @Test func closesBeforeItWasStarted() {
        let run = Run()
        #expect(run.close() == "done")
        #expect(!run.start())
    }

    @Test func closesWhileItConnects() {
        let run = Run()
        _ = run.start()
        #expect(run.close() == "await")
        #expect(run.connected() == "discard")
        #expect(run.lost(run.link) == "closed")
    }

    @Test func closesWhileItIsRefused() {
        let run = Run()
        _ = run.start()
        #expect(run.close() == "await")
        #expect(run.refused() == "closed")
        #expect(run.close() == "done")
    }

    @Test func closesWhileItIsReady() {
        let run = Run()
        run.becomeReady()
        #expect(run.close() == "close")
        #expect(run.close() == "await")
        #expect(run.lost(run.link) == "closed")
        #expect(run.tick(after: .hours(1)) == "nothing")
    }

    @Test func closesWhileItWaits() {
        let run = Run()
        _ = run.start()
        _ = run.refused()
        #expect(run.close() == "done")
        #expect(run.tick(after: .hours(1)) == "nothing")
    }

    /// At once, and with the shortest wait if that fails; but a server that closes what was just made is not asked without end.
    @Test func anIdleConnectionIsRenewed() {
        let run = Run()
        run.becomeReady()
        #expect(run.tick(after: .seconds(1)) == "nothing")
        #expect(run.lost(run.link, idle: .seconds(1)) == "renews")
        #expect(!run.isReady)
        #expect(run.refused() == "reconnects")
        #expect(run.wait == .milliseconds(100))
        #expect(run.tick(after: .milliseconds(100)) == "connect")
        _ = run.connected()
        #expect(run.prepared())
        #expect(run.tick(after: .milliseconds(999)) == "nothing")
        #expect(run.lost(run.link, idle: .milliseconds(999)) == "reconnects, was ready")
        #expect(run.wait == .milliseconds(200))
    }

    /// Nothing is due on it at this moment, and it is in use.
    @Test func aConnectionInUseIsMissed() {
        let run = Run()
        run.becomeReady()
        #expect(run.tick(after: .hours(1)) == "nothing")
        #expect(run.lost(run.link, idle: .milliseconds(999)) == "reconnects, was ready")
        #expect(run.wait == .milliseconds(20))
    }

    // MARK: Moving

    @Test func movesAtOnceFromAConnectionThatWorks() {
        let run = Run()
        #expect(run.move() == "nothing")
        run.becomeReady()
        #expect(run.move() == "connect instead")
        #expect(!run.isReady)
        // The end of the old one is news from the past.
        #expect(run.lost(run.link) == "nothing")
        #expect(run.tick(after: .seconds(10)) == "nothing")
    }

    @Test func movesWithoutAWait() {
        let run = Run()
        _ = run.start()
        for _ in 0..<5 {
            _ = run.refused()
            #expect(run.wait != nil)
            #expect(run.move() == "connect")
            #expect(run.wait == nil)
        }
        // What failed elsewhere doesn't count here.
        _ = run.refused()
        #expect(run.wait == .milliseconds(100))
        // While it connects, the next place is connected to.
        #expect(run.tick(after: .milliseconds(100)) == "connect")
        #expect(run.move() == "connect")
        #expect(run.connected() == "prepare")
        #expect(run.move() == "connect instead")
    }

    @Test func movesNoMoreOnceItIsClosed() {
        let run = Run()
        run.becomeReady()
        _ = run.close()
        #expect(run.move() == "nothing")
    }
}
