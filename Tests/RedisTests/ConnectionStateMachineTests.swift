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
                preparation: .milliseconds(500), silence: .milliseconds(1500), shortestBackoff: .milliseconds(20),
                longestBackoff: .milliseconds(500)))
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

        func refused(jitter: Double = 1) -> String { lost(nil, jitter: jitter) }

        func lost(_ link: Link?, wasIdle: Bool = false, jitter: Double = 1) -> String {
            switch machine.lost(link, at: now, wasIdle: wasIdle, jitter: jitter) {
            case .none: "nothing"
            case .renews: "renews"
            case .reconnects(let wasReady): wasReady ? "reconnects, was ready" : "reconnects"
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

    @Test(arguments: [(0.0, [10, 20, 40, 80, 160, 250, 250]), (1.0, [20, 40, 80, 160, 320, 500, 500])])
    func waitsTwiceAsLongEachTimeUpToTheLongest(_ jitter: Double, _ waits: [Int64]) {
        let run = Run()
        _ = run.start()
        for wait in waits {
            #expect(run.refused(jitter: jitter) == "reconnects")
            #expect(run.wait == .milliseconds(wait))
            #expect(run.tick(after: .milliseconds(wait) - .nanoseconds(1)) == "nothing")
            #expect(run.tick(after: .nanoseconds(1)) == "connect")
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
        #expect(run.lost(run.link) == "reconnects")
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
        #expect(run.lost(run.link, wasIdle: true) == "renews")
        #expect(!run.isReady)
        #expect(run.refused() == "reconnects")
        #expect(run.wait == .milliseconds(20))
        #expect(run.tick(after: .milliseconds(20)) == "connect")
        _ = run.connected()
        #expect(run.prepared())
        #expect(run.tick(after: .milliseconds(999)) == "nothing")
        #expect(run.lost(run.link, wasIdle: true) == "reconnects, was ready")
        #expect(run.wait == .milliseconds(40))
    }
}
