// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

/// What each event leads to, a step after the other.
@Suite struct UpstreamPoolTests {
    final class Line: PooledConnection {
        let name: String
        var isActive = true
        var isCurrent = true
        var standing = UpstreamPool.Standing()

        init(_ name: String) { self.name = name }
    }

    typealias Machine = UpstreamPool.StateMachine<Line, String>

    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let a = UpstreamCaller.key("acme/a")
    private static let b = UpstreamCaller.key("acme/b")
    private static let c = UpstreamCaller.address("203.0.113.9")

    private func at(_ milliseconds: Int64) -> NIODeadline { Self.start + .milliseconds(milliseconds) }

    private func machine(capacity: Int) -> Machine {
        Machine(capacity: capacity, connectTimeout: .seconds(5), idleTimeout: .seconds(60))
    }

    /// One with a line that is used for a caller.
    private func using(_ name: String, for caller: UpstreamCaller, _ machine: inout Machine) -> Line {
        let line = Line(name)
        #expect(machine.acquire(for: name, of: caller, .new, at: at(0)).written == "wait: connect by 5000")
        #expect(machine.connected(line, at: at(0)).written == "hand \(name) to \(name), new")
        return line
    }

    /// One with a line that became idle.
    private func idling(_ name: String, at now: NIODeadline, _ machine: inout Machine) -> Line {
        let line = using(name, for: .key(name), &machine)
        #expect(machine.release(line, at: now).written == "")
        return line
    }

    private func leave(_ ticket: Machine.Ticket?, _ machine: inout Machine, at now: NIODeadline) -> String? {
        guard let ticket else { return nil }
        return machine.cancel(ticket, at: now).written
    }

    // MARK: Idle connections

    @Test func theLastUsedIsTakenFirst() {
        var machine = machine(capacity: 8)
        let lines = ["1", "2", "3"].map { using($0, for: .key($0), &machine) }
        for line in lines { #expect(machine.release(line, at: at(0)).written == "") }
        #expect(machine.idleConnections.map(\.name) == ["1", "2", "3"])
        let taken = (0..<4).map { machine.acquire(for: "w", of: .key("\($0)"), .any, at: at(0)).written }
        #expect(taken == ["hand 3", "hand 2", "hand 1", "wait: connect by 5000"])
    }

    @Test(
        arguments: [
            (.any, 0, true, "hand 1"), (.any, 59_999, true, "hand 1"), (.any, 0, false, "wait: connect by"),
            (.recent, 0, true, "hand 1"), (.recent, 999, true, "hand 1"), (.recent, 1_000, true, "wait: connect by"),
            (.recent, 0, false, "wait: connect by"), (.new, 0, true, "wait: connect by"),
        ] as [(Exchange.Freshness, Int64, Bool, String)])
    func anIdleOneMustFit(freshness: Exchange.Freshness, age: Int64, isActive: Bool, expected: String) {
        var machine = machine(capacity: 8)
        let line = idling("1", at: at(0), &machine)
        line.isActive = isActive
        let action = machine.acquire(for: "w", of: Self.a, freshness, at: at(age)).written
        #expect(action == expected || action == "\(expected) \(age + 5_000)")
    }

    @Test func theOldestIdleOneMakesRoom() {
        var machine = machine(capacity: 3)
        let lines = (1...3).map { using("\($0)", for: .key("\($0)"), &machine) }
        for line in lines { #expect(machine.release(line, at: at(0)).written == "") }
        lines[0].isActive = false
        #expect(machine.acquire(for: "w", of: Self.a, .recent, at: at(2_000)).written == "wait: close 2")
        #expect(machine.closed(lines[1], at: at(2_000)).written == "connect by 7000")
    }

    @Test func anIdleOneThatEndsFreesItsPlace() {
        var machine = machine(capacity: 1)
        let line = idling("1", at: at(0), &machine)
        #expect(machine.closed(line, at: at(1)).written == "")
        #expect(machine.idleConnections.isEmpty)
        #expect(machine.acquire(for: "w", of: Self.a, .any, at: at(1)).written == "wait: connect by 5001")
    }

    // MARK: Room

    @Test func asManyWaitAsMayBeOpen() {
        var machine = machine(capacity: 2)
        let first = using("1", for: .key("1"), &machine)
        _ = using("2", for: .key("2"), &machine)
        for name in ["3", "4"] {
            #expect(machine.acquire(for: name, of: .key(name), .any, at: at(0)).written == "wait: -")
        }
        #expect(machine.acquire(for: "5", of: .key("5"), .any, at: at(0)).written == "refuse upstreamQueueFull")
        // What was refused holds nothing.
        #expect(machine.release(first, at: at(1)).written == "hand 1 to 3, reused")
        #expect(machine.acquire(for: "5", of: .key("5"), .any, at: at(1)).written == "wait: -")
        #expect(machine.release(first, at: at(2)).written == "hand 1 to 4, reused")
    }

    @Test func whoeverCameFirstGetsWhatComes() {
        var machine = machine(capacity: 4)
        _ = machine.acquire(for: "1", of: Self.a, .any, at: at(0))
        _ = machine.acquire(for: "2", of: Self.b, .any, at: at(0))
        #expect(machine.connected(Line("x"), at: at(1)).written == "hand x to 1, new")
        #expect(machine.connected(Line("y"), at: at(1)).written == "hand y to 2, new")
    }

    @Test func whatNobodyWaitsForIsKept() {
        var machine = machine(capacity: 4)
        let ticket = machine.acquire(for: "1", of: Self.a, .any, at: at(0)).ticket
        #expect(leave(ticket, &machine, at: at(0)) == "-")
        #expect(machine.connected(Line("x"), at: at(1)).written == "")
        #expect(machine.acquire(for: "2", of: Self.b, .recent, at: at(1)).written == "hand x")
    }

    @Test func aStreamMakesRoom() {
        var machine = machine(capacity: 1)
        let stream = using("1", for: Self.a, &machine)
        #expect(machine.acquire(for: "2", of: Self.b, .any, at: at(0)).written == "wait: -")
        #expect(machine.discount(stream, at: at(1)).written == "connect by 5001, give back a")
        #expect(machine.discount(stream, at: at(1)).written == "")
        #expect(machine.connected(Line("y"), at: at(2)).written == "hand y to 2, new")
    }

    @Test(arguments: [(1, "close 1"), (2, "")])
    func aStreamThatIsOverCountsAgain(capacity: Int, expected: String) {
        var machine = machine(capacity: capacity)
        let stream = using("1", for: Self.a, &machine)
        let steps = machine.discount(stream, at: at(0))
        #expect(machine.giveBack(after: steps, at: at(0)) == "-")
        _ = using("2", for: Self.b, &machine)
        #expect(machine.release(stream, at: at(1)).written == expected)
        #expect(
            machine.acquire(for: "3", of: Self.a, .any, at: at(1)).written == (capacity == 1 ? "wait: -" : "hand 1"))
    }

    @Test func whoMakesWayKeepsItsShare() {
        var machine = machine(capacity: 2)
        let slow = using("1", for: Self.a, &machine)
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(0)).written == "wait: -")
        #expect(machine.makeWay(slow, at: at(1)).written == "-")
        #expect(machine.makeWay(slow, at: at(1)).written == "-")
        let steps = machine.discount(slow, at: at(2))
        #expect(steps.written == "give back a")
        #expect(machine.giveBack(after: steps, at: at(2)) == "connect by 5002")
    }

    @Test(arguments: ["inactive", "moved", "closed"])
    func whatCanCarryNothingIsClosed(why: String) {
        var machine = machine(capacity: 2)
        let line = using("1", for: Self.a, &machine)
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(0)).written == "wait: -")
        switch why {
        case "inactive": line.isActive = false
        case "moved": line.isCurrent = false
        default: machine.close()
        }
        #expect(machine.release(line, at: at(1)).written == "close 1, serve 2")
    }

    @Test func aNewOneOfAnOldAddressCarriesWhatWaits() {
        var machine = machine(capacity: 4)
        let ticket = machine.acquire(for: "1", of: Self.a, .any, at: at(0)).ticket
        _ = machine.acquire(for: "2", of: Self.b, .any, at: at(0))
        #expect(leave(ticket, &machine, at: at(0)) == "-")
        let lines = ["x", "y"].map(Line.init)
        for line in lines { line.isCurrent = false }
        #expect(machine.connected(lines[0], at: at(1)).written == "hand x to 2, new")
        #expect(machine.connected(lines[1], at: at(1)).written == "close y")
    }

    // MARK: Shares

    @Test func oneCallerHasAtMostHalf() {
        var machine = machine(capacity: 4)
        let actions = (0..<5).map { machine.acquire(for: "\($0)", of: Self.a, .any, at: at(0)).written }
        let connect = "wait: connect by 5000"
        #expect(actions == [connect, connect, "wait: -", "wait: -", "refuse upstreamShare"])
        #expect(machine.acquire(for: "5", of: Self.b, .any, at: at(0)).written == connect)
    }

    /// Each way to give something back, where another one of the same caller is parked.
    @Test(
        arguments: [
            ("release", "hand 1 to 2, reused, serve nobody"), ("closed", "give back a"), ("discount", "give back a"),
            ("makeWay", ""),
        ])
    func whatIsGivenBackIsForTheParked(way: String, expected: String) {
        var machine = machine(capacity: 2)
        let line = using("1", for: Self.a, &machine)
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(0)).written == "wait: -")
        let steps =
            switch way {
            case "release": machine.release(line, at: at(1))
            case "closed": machine.closed(line, at: at(1))
            case "discount": machine.discount(line, at: at(1))
            default: Machine.Steps(first: machine.makeWay(line, at: at(1)))
            }
        #expect(steps.written == expected)
        if expected.hasSuffix("give back a") {
            #expect(machine.giveBack(after: steps, at: at(1)) == "connect by 5001")
        }
    }

    @Test func whoeverLeavesGivesBack() {
        var machine = machine(capacity: 2)
        let tickets = (0..<2).map { machine.acquire(for: "\($0)", of: Self.a, .any, at: at(0)).ticket }
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(0)).written == "refuse upstreamShare")
        #expect(leave(tickets[0], &machine, at: at(1)) == "connect by 5001")
        #expect(leave(tickets[0], &machine, at: at(1)) == "-")
        #expect(leave(tickets[1], &machine, at: at(2)) == "-")
        #expect(machine.acquire(for: "3", of: Self.a, .any, at: at(2)).written == "wait: -")
    }

    @Test func aParkedOneThatLeavesStandsInNobodysWay() {
        var machine = machine(capacity: 2)
        let line = using("1", for: Self.a, &machine)
        let parked = machine.acquire(for: "2", of: Self.a, .any, at: at(0)).ticket
        #expect(leave(parked, &machine, at: at(1)) == "-")
        #expect(machine.acquire(for: "3", of: Self.a, .any, at: at(1)).written == "wait: -")
        #expect(machine.release(line, at: at(2)).written == "hand 1 to 3, reused, serve nobody")
    }

    @Test func aServedOneTakesWhatIsIdle() {
        var machine = machine(capacity: 4)
        _ = idling("1", at: at(0), &machine)
        let used = (2...3).map { using("\($0)", for: Self.a, &machine) }
        #expect(machine.acquire(for: "w", of: Self.a, .any, at: at(0)).written == "wait: -")
        let steps = machine.discount(used[0], at: at(1))
        #expect(steps.written == "give back a")
        #expect(machine.giveBack(after: steps, at: at(1)) == "hand 1 to w, reused")
    }

    // MARK: Connects that come to nothing

    @Test func othersGoFirstWhereAConnectFails() {
        var machine = machine(capacity: 2)
        _ = using("1", for: Self.a, &machine)
        #expect(machine.acquire(for: "2", of: Self.b, .any, at: at(0)).written == "wait: connect by 5000")
        #expect(machine.acquire(for: "3", of: Self.c, .any, at: at(0)).written == "wait: -")
        let steps = machine.connectFailed(.upstreamUnreachable, at: at(1))
        #expect(steps.written == "connect by 5001, give back b, refuse 2 upstreamUnreachable")
        #expect(machine.giveBack(after: steps, at: at(1)) == "-")
    }

    @Test func aConnectionThatEndedAtOnceIsNone() {
        var machine = machine(capacity: 1)
        _ = machine.acquire(for: "1", of: Self.a, .any, at: at(0))
        let line = Line("x")
        line.isActive = false
        let steps = machine.connected(line, at: at(1))
        #expect(steps.written == "give back a, refuse 1 upstreamClosed")
        #expect(machine.closed(line, at: at(1)).written == "")
        #expect(machine.giveBack(after: steps, at: at(1)) == "-")
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(1)).written == "wait: connect by 5001")
    }

    @Test func aFailureThatNobodyWaitsForHurtsNobody() {
        var machine = machine(capacity: 1)
        let ticket = machine.acquire(for: "1", of: Self.a, .any, at: at(0)).ticket
        #expect(leave(ticket, &machine, at: at(0)) == "-")
        #expect(machine.connectFailed(.upstreamUnreachable, at: at(1)).written == "")
        #expect(machine.acquire(for: "2", of: Self.a, .any, at: at(1)).written == "wait: connect by 5001")
    }

    /// One that was parked stands before one for which a connection is made, and takes it. That one waits again, until its time
    /// is over, and gets the next place.
    @Test func whoeverLosesItsConnectionWaitsAgain() {
        var machine = machine(capacity: 2)
        let other = using("2", for: Self.b, &machine)
        _ = machine.acquire(for: "1", of: Self.a, .any, at: at(0))
        #expect(machine.acquire(for: "3", of: Self.a, .any, at: at(0)).written == "wait: -")
        #expect(machine.acquire(for: "4", of: Self.c, .any, at: at(0)).written == "wait: -")
        let steps = machine.connectFailed(.upstreamUnreachable, at: at(1))
        #expect(steps.written == "connect by 5001, give back a, refuse 1 upstreamUnreachable")
        #expect(machine.giveBack(after: steps, at: at(1)) == "-")
        #expect(machine.connected(Line("x"), at: at(2)).written == "hand x to 3, new, serve 4")
        #expect(machine.discount(other, at: at(3)).written == "connect by 5003, give back b")
    }

    // MARK: Time

    @Test func whatIsIdleForTooLongIsClosed() {
        var machine = machine(capacity: 2)
        _ = idling("1", at: at(0), &machine)
        #expect(machine.expire(at: at(59_999)) == nil)
        #expect(machine.expire(at: at(60_000))?.written == "close 1")
        #expect(machine.expire(at: at(60_000)) == nil)
    }

    @Test func whatWasTakenIsNotTooOld() {
        var machine = machine(capacity: 2)
        _ = idling("1", at: at(0), &machine)
        #expect(machine.acquire(for: "w", of: Self.a, .any, at: at(1)).written == "hand 1")
        #expect(machine.expire(at: at(60_000)) == nil)
    }

    @Test func anEndIsLookedAtEachSecond() {
        var machine = machine(capacity: 2)
        let line = using("1", for: Self.a, &machine)
        machine.awaitEnd(of: line, at: at(10))
        #expect(machine.awaitsEnds)
        #expect(machine.expire(at: at(1_009)) == nil)
        #expect(machine.expire(at: at(1_010))?.written == "look at 1")
        #expect(machine.expire(at: at(1_010)) == nil && !machine.awaitsEnds)
        machine.awaitEnd(of: line, at: at(1_010))
        #expect(machine.expire(at: at(2_009)) == nil)
        #expect(machine.expire(at: at(2_010))?.written == "look at 1")
    }

    /// Whoever leaves many tunnels behind a handler that takes nothing holds no more of them than may be open.
    @Test func ofTooManyThatEndTheOldestIsCut() {
        var machine = machine(capacity: 2)
        let lines = ["1", "2", "3", "4"].map(Line.init)
        #expect(machine.awaitEnd(of: lines[0], at: at(0)) == nil)
        #expect(machine.awaitEnd(of: lines[1], at: at(1)) == nil)
        #expect(machine.awaitEnd(of: lines[2], at: at(2)) === lines[0])
        #expect(machine.expire(at: at(1_001))?.written == "look at 2")
        #expect(machine.awaitEnd(of: lines[3], at: at(1_001)) == nil)
        #expect(machine.awaitEnd(of: lines[1], at: at(1_001)) === lines[2])
        #expect(machine.popEnding() === lines[3])
        #expect(machine.popEnding() === lines[1])
        #expect(machine.popEnding() == nil && !machine.awaitsEnds)
    }

    @Test func nobodyWaitsForLongerThanAConnectTakes() {
        var machine = machine(capacity: 2)
        _ = using("1", for: Self.a, &machine)
        _ = machine.acquire(for: "2", of: Self.b, .any, at: at(0))
        _ = machine.acquire(for: "3", of: Self.a, .any, at: at(1))
        _ = machine.acquire(for: "4", of: Self.c, .any, at: at(2))
        _ = machine.acquire(for: "5", of: Self.c, .any, at: at(3))
        #expect(machine.expire(at: at(5_000)) == nil)
        #expect(machine.expire(at: at(5_001))?.written == "refuse 3 upstreamShare, after -")
        // One more of the same caller may go on, if there were room.
        #expect(machine.expire(at: at(5_002))?.written == "refuse 4 upstreamQueueFull, after -")
        #expect(machine.expire(at: at(5_003))?.written == "refuse 5 upstreamQueueFull, after -")
        // The connect has a time of its own.
        #expect(machine.expire(at: at(60_000)) == nil)
    }

    @Test func timeThatWasNobodysIsGivenBack() {
        var machine = machine(capacity: 2)
        let ending = using("1", for: Self.a, &machine)
        _ = idling("2", at: at(0), &machine)
        machine.awaitEnd(of: ending, at: at(0))
        #expect(machine.acquire(for: "3", of: Self.b, .new, at: at(0)).written == "wait: close 2")
        machine.shift(by: .seconds(100))
        #expect(machine.expire(at: at(60_000))?.written == "close 2")
        #expect(machine.expire(at: at(100_999)) == nil)
        #expect(machine.expire(at: at(101_000))?.written == "look at 1")
        #expect(machine.expire(at: at(105_000))?.written == "refuse 3 upstreamQueueFull, after -")
    }

    // MARK: End

    @Test func nothingIsBegunAfterTheEnd() {
        var machine = machine(capacity: 2)
        let line = using("1", for: Self.a, &machine)
        _ = machine.acquire(for: "2", of: Self.b, .any, at: at(0))
        #expect(machine.acquire(for: "3", of: Self.a, .any, at: at(0)).written == "wait: -")
        #expect(machine.acquire(for: "4", of: Self.c, .any, at: at(0)).written == "wait: -")
        machine.close()
        let steps = machine.connectFailed(.upstreamUnreachable, at: at(1)).written
        #expect(steps == "give back b, refuse 2 upstreamUnreachable")
        let ended = machine.closed(line, at: at(1))
        #expect(ended.written == "give back a")
        #expect(machine.giveBack(after: ended, at: at(1)) == "-")
    }

    @Test func whatComesAfterTheEndIsClosed() {
        var machine = machine(capacity: 2)
        _ = machine.acquire(for: "1", of: Self.a, .any, at: at(0))
        machine.close()
        #expect(machine.connected(Line("x"), at: at(1)).written == "close x")
    }
}

// MARK: Steps as they are read

extension UpstreamPool.StateMachine<UpstreamPoolTests.Line, String>.AcquireAction {
    fileprivate var ticket: UpstreamQueue<String>.Ticket? {
        if case .wait(let ticket, _) = self { ticket } else { nil }
    }

    fileprivate var written: String {
        switch self {
        case .hand(let line): "hand \(line.name)"
        case .refuse(let fault): "refuse \(fault)"
        case .wait(_, let step): "wait: \(step.written)"
        }
    }
}

extension UpstreamPool.StateMachine<UpstreamPoolTests.Line, String>.Step {
    fileprivate var written: String {
        switch self {
        case .none: "-"
        case .hand(let line, let waiter, let isReused): "hand \(line.name) to \(waiter), \(isReused ? "reused" : "new")"
        case .connect(let deadline): "connect by \((deadline - UpstreamPoolTests.start).nanoseconds / 1_000_000)"
        case .close(let line): "close \(line.name)"
        }
    }
}

extension UpstreamPool.StateMachine<UpstreamPoolTests.Line, String> {
    /// What is due once these are done.
    fileprivate mutating func giveBack(after steps: Steps, at now: NIODeadline) -> String {
        guard case .giveBack(let share) = steps.then else { return "nobody gives back" }
        return giveBack(of: share, at: now).written
    }
}

extension UpstreamPool.StateMachine<UpstreamPoolTests.Line, String>.Steps {
    fileprivate var written: String {
        var parts: [String] = []
        if case .none = first {} else { parts.append(first.written) }
        switch then {
        case .nothing: break
        case .serve(let ticket): parts.append("serve \(ticket.waiter ?? "nobody")")
        case .giveBack(let share): parts.append("give back \(share.caller.name)")
        }
        if let (waiter, fault) = refused { parts.append("refuse \(waiter) \(fault)") }
        return parts.joined(separator: ", ")
    }
}

extension UpstreamPool.StateMachine<UpstreamPoolTests.Line, String>.Expiry {
    fileprivate var written: String {
        switch self {
        case .close(let line): "close \(line.name)"
        case .look(let line): "look at \(line.name)"
        case .refuse(let waiter, let fault, let step): "refuse \(waiter) \(fault), after \(step.written)"
        }
    }
}

extension UpstreamCaller {
    fileprivate var name: Substring {
        switch self {
        case .key(let id): id.split(separator: "/").last ?? ""
        case .address: "c"
        }
    }
}
