// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct ConnectionStateMachineTests {
    private final class Link {}
    private typealias Machine = RedisConnection.StateMachine<Link>

    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let link = Link()

    private func machine() -> Machine {
        Machine(
            .init(
                preparation: .milliseconds(500), silence: .milliseconds(1500), shortestBackoff: .milliseconds(20),
                longestBackoff: .milliseconds(500)))
    }

    private func readyMachine(at now: NIODeadline) -> Machine {
        var machine = machine()
        _ = machine.start()
        _ = machine.connected(link, at: now)
        _ = machine.prepared(link, at: now)
        return machine
    }

    /// Milliseconds until it connects anew.
    private func wait(_ machine: Machine, since now: NIODeadline) -> Int64? {
        guard case .waiting(let until) = machine.state else { return nil }
        return (until - now).nanoseconds / 1_000_000
    }

    private func tick(_ machine: inout Machine, at now: NIODeadline, silence: TimeAmount = .zero) -> Machine.Tick {
        machine.tick(at: now) { _ in silence }
    }

    @Test func startsOnce() {
        var machine = machine()
        #expect(machine.start())
        #expect(!machine.start())
    }

    @Test func isReadyWhenPrepared() {
        var machine = machine()
        _ = machine.start()
        guard case .prepare = machine.connected(link, at: start) else { Issue.record("not prepared"); return }
        #expect(machine.ready == nil)
        #expect(!machine.prepared(Link(), at: start))
        #expect(machine.prepared(link, at: start))
        #expect(machine.ready === link)
    }

    @Test func waitsTwiceAsLongEachTimeUpToTheLongest() {
        for (jitter, waits) in [
            (0.0, [10, 20, 40, 80, 160, 250, 250]), (1.0, [20, 40, 80, 160, 320, 500, 500]),
        ] {
            var machine = machine()
            _ = machine.start()
            var now = start
            for expected in waits {
                guard case .reconnects(wasReady: false) = machine.lost(nil, at: now, jitter: jitter) else {
                    Issue.record("no reconnect")
                    return
                }
                #expect(wait(machine, since: now) == Int64(expected))
                now = now + .milliseconds(Int64(expected)) - .nanoseconds(1)
                guard case .none = tick(&machine, at: now) else { Issue.record("too early"); return }
                now = now + .nanoseconds(1)
                guard case .connect = tick(&machine, at: now) else { Issue.record("too late"); return }
            }
        }
    }

    @Test func aConnectionThatLastedForgetsWhatFailedBefore() {
        var machine = machine()
        _ = machine.start()
        for _ in 0..<5 {
            _ = machine.lost(nil, at: start, jitter: 1)
            _ = tick(&machine, at: start + .seconds(1))
        }
        _ = machine.connected(link, at: start)
        _ = machine.prepared(link, at: start)
        // It was there for 999 ms: whatever ends it at once may do so again.
        var flapping = machine
        let soon = start + .milliseconds(999)
        guard case .reconnects(wasReady: true) = flapping.lost(link, at: soon, jitter: 1) else {
            Issue.record("no reconnect")
            return
        }
        #expect(wait(flapping, since: soon) == 500)
        let later = start + .seconds(1)
        _ = machine.lost(link, at: later, jitter: 1)
        #expect(wait(machine, since: later) == 20)
    }

    @Test func givesUpWhoNeverFinishesTheFirstCommands() {
        var machine = machine()
        _ = machine.start()
        _ = machine.connected(link, at: start)
        guard case .none = tick(&machine, at: start + .milliseconds(499)) else { Issue.record("too early"); return }
        guard case .giveUp(let given, let error) = tick(&machine, at: start + .milliseconds(500)) else {
            Issue.record("never given up")
            return
        }
        #expect(given === link)
        #expect(error == .notConnected("no answer to the first commands"))
    }

    @Test func givesUpWhoIsSilent() {
        var machine = readyMachine(at: start)
        guard case .none = tick(&machine, at: start, silence: .milliseconds(1499)) else {
            Issue.record("too early")
            return
        }
        guard case .giveUp(let given, let error) = tick(&machine, at: start, silence: .milliseconds(1500)) else {
            Issue.record("never given up")
            return
        }
        #expect(given === link)
        #expect(error == .connectionClosed("no reply for 1500 ms"))
    }

    @Test func newsOfAnotherConnectionChangeNothing() {
        var machine = readyMachine(at: start)
        guard case .none = machine.lost(Link(), at: start, jitter: 0) else { Issue.record("lost"); return }
        guard case .none = machine.lost(nil, at: start, jitter: 0) else { Issue.record("lost"); return }
        #expect(machine.ready === link)
        _ = machine.lost(link, at: start, jitter: 0)
        guard case .none = machine.lost(link, at: start, jitter: 0) else { Issue.record("lost twice"); return }
        #expect(!machine.prepared(link, at: start))
    }

    @Test func closesFromEveryState() {
        var idle = machine()
        guard case .done = idle.close() else { Issue.record("idle"); return }
        #expect(!idle.start())

        var connecting = machine()
        _ = connecting.start()
        guard case .await = connecting.close() else { Issue.record("connecting"); return }
        guard case .discard = connecting.connected(link, at: start) else { Issue.record("connected"); return }
        guard case .closed = connecting.lost(link, at: start, jitter: 0) else { Issue.record("lost"); return }

        var refused = machine()
        _ = refused.start()
        _ = refused.close()
        guard case .closed = refused.lost(nil, at: start, jitter: 0) else { Issue.record("refused"); return }
        guard case .done = refused.close() else { Issue.record("closed twice"); return }

        var ready = readyMachine(at: start)
        guard case .close(let closed) = ready.close() else { Issue.record("ready"); return }
        #expect(closed === link)
        guard case .await = ready.close() else { Issue.record("closing twice"); return }
        guard case .closed = ready.lost(link, at: start, jitter: 0) else { Issue.record("lost"); return }
        guard case .none = tick(&ready, at: start + .hours(1)) else { Issue.record("closed"); return }

        var waiting = machine()
        _ = waiting.start()
        _ = waiting.lost(nil, at: start, jitter: 0)
        guard case .done = waiting.close() else { Issue.record("waiting"); return }
        guard case .none = tick(&waiting, at: start + .hours(1)) else { Issue.record("connects"); return }
    }
}
