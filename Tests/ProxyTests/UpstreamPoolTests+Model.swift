// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Proxy

extension UpstreamPoolTests {
    /// Random requests, connections, ends and time, with calls back from within every act. What a plain model of lists knows
    /// is checked at each act, and the invariants in the machine's comment after each event.
    @Test func keepsItsInvariantsInAnyOrder() {
        var random = SplitMix(seed: 2026)
        for schedule in 0..<Rounds.usually(20_000, long: 100_000) {
            let seed = random.next()
            guard let violation = World(seed: seed).live() else { continue }
            // Once more, to tell how it came about.
            let world = World(seed: seed, isTold: true)
            _ = world.live()
            Issue.record("schedule \(schedule): \(violation) after \(world.tale.joined(separator: "; "))")
            return
        }
    }
}

/// What the pool, its connector and those that ask it do with the machine, and what they know of it.
private final class World {
    final class Line: PooledConnection {
        enum State { case making, idle(since: NIODeadline), used, free, ending, gone }

        let id: Int
        var isActive = true
        var isCurrent = true
        var standing = UpstreamPool.Standing()
        var state = State.making
        /// Against the capacity.
        var counts = true
        /// Whose share it takes.
        var caller: Int?

        init(_ id: Int) { self.id = id }
    }

    /// One that asks.
    final class Request {
        let id: Int
        let caller: Int
        let freshness: Exchange.Freshness
        let since: NIODeadline
        var isParked = false
        var ticket: UpstreamQueue<Request>.Ticket?

        init(_ id: Int, of caller: Int, _ freshness: Exchange.Freshness, at now: NIODeadline) {
            self.id = id
            self.caller = caller
            self.freshness = freshness
            since = now
        }
    }

    struct Connect {
        let deadline: NIODeadline
        let line: Line
    }

    typealias Machine = UpstreamPool.StateMachine<Line, Request>

    private static let timeout = TimeAmount.seconds(5)

    private var random: SplitMix
    private var machine: Machine
    private let capacity: Int
    private let most: Int
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var names = 0
    private var isClosed = false
    private var depth = 0

    /// Unanswered, in the order of coming.
    private var outstanding: [Request] = []
    /// What each caller has: of connections, and of places in the queue that aren't parked.
    private var held: [Int: Int] = [:]
    private var connects: [Connect] = []
    private var lines: [Line] = []
    /// The one used last at the end.
    private var idle: [Line] = []

    /// Nothing comes any more but time.
    private var isSettling = false
    private var violation: String?
    private let isTold: Bool
    private(set) var tale: [String] = []

    init(seed: UInt64, isTold: Bool = false) {
        self.isTold = isTold
        random = SplitMix(seed: seed)
        capacity = random.next(below: 6) + 1
        most = max(1, capacity / 2)
        machine = Machine(capacity: capacity, connectTimeout: Self.timeout, idleTimeout: .seconds(8))
        tell("capacity \(capacity)")
    }

    /// - Returns: what went wrong.
    func live() -> String? {
        for _ in 0..<40 where violation == nil { happen() }
        if chance(4) { close() }
        waitForAll()
        return violation
    }

    private func tell(_ what: @autoclosure () -> String) {
        if isTold { tale.append(what()) }
    }

    private func fail(_ what: String) {
        violation = violation ?? what
    }

    private func chance(_ outOf: Int) -> Bool { random.next(below: outOf) == 0 }

    private func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[random.next(below: elements.count)]
    }

    // MARK: What is counted here

    private var open: Int { connects.count { $0.line.counts } + lines.count { $0.counts } }
    private var waiting: [Request] { outstanding.filter { !$0.isParked } }

    private var used: [Line] {
        lines.filter { if case .used = $0.state { true } else { false } }
    }

    private func fits(_ line: Line, _ freshness: Exchange.Freshness) -> Bool {
        guard line.isActive, case .idle(let since) = line.state else { return false }
        return switch freshness {
        case .any: true
        case .recent: now - since < .seconds(1)
        case .new: false
        }
    }

    private func returnShare(of caller: Int) {
        held[caller, default: 0] -= 1
        if held[caller, default: 0] < 0 { fail("caller \(caller) gave back too much") }
        guard let next = outstanding.first(where: { $0.isParked && $0.caller == caller }) else { return }
        next.isParked = false
        held[caller, default: 0] += 1
    }

    private func check() {
        guard violation == nil else { return }
        if open > capacity { return fail("\(open) open") }
        for (caller, count) in held where count > most { fail("caller \(caller) has \(count)") }
        guard !isClosed else { return }
        if open < capacity, waiting.count > connects.count {
            fail("\(waiting.count) wait, \(connects.count) are made, and there is room")
        }
        for request in waiting where idle.contains(where: { fits($0, request.freshness) }) {
            fail("request \(request.id) waits beside an idle connection")
        }
        for caller in Set(outstanding.filter(\.isParked).map(\.caller)) where held[caller] != most {
            fail("one of caller \(caller) is parked, which has \(held[caller] ?? 0)")
        }
    }

    // MARK: Events

    private static let events = Event.allCases

    private enum Event: CaseIterable {
        case ask, askAgain, cancel, connected, endedAtOnce, connectFailed, release, releaseToo, closed, discount,
            makeWay
        case idleEnds, idleCloses, hangUp, pass, move, shift
    }

    private func happen() {
        let event = Self.events[random.next(below: Self.events.count)]
        tell("\(event)")
        within { deliver(event) }
    }

    /// Nothing is at rest before the outermost is over.
    private func within(_ body: () -> Void) {
        depth += 1
        body()
        depth -= 1
        if depth == 0 { check() }
    }

    private func deliver(_ event: Event) {
        switch event {
        case .ask, .askAgain: ask()
        case .cancel: if let request = pick(outstanding) { cancel(request) }
        case .connected: if let connect = takeConnect() { connected(connect.line) }
        case .endedAtOnce: if let connect = takeConnect() { endedAtOnce(connect.line) }
        case .connectFailed: if takeConnect() != nil { failConnect() }
        case .release, .releaseToo: if let line = pick(used) { release(line) }
        case .closed: if let line = pick(lines) { end(line) }
        case .discount: if let line = pick(used) { discount(line) }
        case .makeWay: if let line = pick(used) { makeWay(line) }
        case .idleEnds: if let line = pick(idle) { end(line) }
        case .idleCloses: pick(idle)?.isActive = false
        case .hangUp:
            guard let line = pick(used) else { return }
            line.isActive = false
            line.state = .ending
            awaitEnd(of: line)
        case .pass: pass(.milliseconds(Int64(random.next(below: 3_000))))
        case .move:
            pick(lines + connects.map(\.line))?.isCurrent = false
            for line in machine.idleConnections where !line.isCurrent { close(line) }
        case .shift: machine.shift(by: .milliseconds(300))
        }
    }

    private func ask() {
        names += 1
        let freshness = pick([.any, .recent, .new] as [Exchange.Freshness]) ?? .any
        let request = Request(names, of: random.next(below: 3), freshness, at: now)
        let caller = request.caller
        let fitting = idle.last { fits($0, freshness) }
        let isFull = held[caller, default: 0] >= most
        let isParkedFull = outstanding.count { $0.isParked && $0.caller == caller } >= most
        let waits = waiting.count
        let action = machine.acquire(for: request, of: .key("\(caller)"), freshness, at: now)
        switch action {
        case .refuse(.upstreamShare):
            if !isFull || !isParkedFull { fail("refused \(names) a share") }
        case .refuse(let fault):
            if fault != .upstreamQueueFull || isFull || fitting != nil || open < capacity || waits < capacity {
                fail("refused \(names), \(fault)")
            }
        case .hand(let line):
            if line !== fitting || isFull { fail("handed \(line.id) to \(names)") }
            held[caller, default: 0] += 1
            take(line, for: request)
        case .wait(let ticket, let step):
            request.ticket = ticket
            request.isParked = isFull
            outstanding.append(request)
            if isFull, isParkedFull { fail("parked too many") }
            if isFull, case .none = step {} else if isFull { fail("did something for a parked one") }
            if !isFull, fitting != nil { fail("made \(names) wait for nothing") }
            if !isFull { held[caller, default: 0] += 1 }
            perform(step)
        }
    }

    private func cancel(_ request: Request) {
        guard let ticket = request.ticket else { return fail("no ticket") }
        outstanding.removeAll { $0 === request }
        if !request.isParked { returnShare(of: request.caller) }
        perform(machine.cancel(ticket, at: now))
        perform(machine.cancel(ticket, at: now))
    }

    // MARK: Connections

    private func takeConnect() -> Connect? {
        // In the end they all fail.
        guard !isClosed, let chosen = pick(connects.filter(\.line.isActive)) else { return nil }
        connects.removeAll { $0.line === chosen.line }
        return chosen
    }

    private func connected(_ line: Line) {
        lines.append(line)
        let first = waiting.first
        let steps = machine.connected(line, at: now)
        if let first { return perform(steps, offered: line, to: first) }
        if line.isCurrent { becomeIdle(line) }
        perform(steps, offered: line, to: nil)
    }

    /// Its end may be told before it is told of.
    private func endedAtOnce(_ line: Line) {
        line.isActive = false
        line.state = .gone
        if chance(2) {
            connects.append(Connect(deadline: .distantFuture, line: line))
            line.counts = false
            perform(machine.closed(line, at: now))
            guard let index = connects.firstIndex(where: { $0.line === line }) else { return }
            connects.remove(at: index)
        }
        line.counts = false
        perform(machine.connected(line, at: now))
        perform(machine.closed(line, at: now))
    }

    private func failConnect() {
        perform(machine.connectFailed(.upstreamUnreachable, at: now))
    }

    private func becomeIdle(_ line: Line) {
        line.state = .idle(since: now)
        idle.append(line)
    }

    private func release(_ line: Line) {
        if let caller = line.caller { returnShare(of: caller) }
        line.caller = nil
        let isUsable = line.isActive && line.isCurrent && !isClosed && (line.counts || open < capacity)
        let steps = machine.release(line, at: now)
        guard isUsable else {
            if case .close(let closed) = steps.first, closed === line {} else { fail("kept what can't be used") }
            return perform(steps)
        }
        line.counts = true
        line.state = .free
        let first = waiting.first
        if first == nil { becomeIdle(line) }
        perform(steps, offered: line, to: first)
    }

    private func discount(_ line: Line) {
        line.counts = false
        line.caller = nil
        perform(machine.discount(line, at: now))
    }

    private func makeWay(_ line: Line) {
        line.counts = false
        perform(machine.makeWay(line, at: now))
    }

    private func close(_ line: Line) {
        line.isActive = false
        line.state = .ending
        // Mostly told before `close` returns.
        if !chance(8) { end(line) }
    }

    private func end(_ line: Line) {
        guard lines.contains(where: { $0 === line }) else { return }
        line.isActive = false
        line.state = .gone
        line.counts = false
        line.caller = nil
        idle.removeAll { $0 === line }
        lines.removeAll { $0 === line }
        perform(machine.closed(line, at: now))
    }

    private func take(_ line: Line, for request: Request) {
        tell("\(line.id) to \(request.id)")
        if !line.isActive { fail("handed out what has ended") }
        if case .used = line.state { fail("handed out twice") }
        idle.removeAll { $0 === line }
        line.state = .used
        line.caller = request.caller
        // Whoever gets it may be through with it at once, or ask for more.
        guard depth < 4, !isSettling else { return }
        switch random.next(below: 12) {
        case 0: release(line)
        case 1: end(line)
        case 2: discount(line)
        case 3: happen()
        default: break
        }
    }

    // MARK: Acts

    /// - Parameter line: what the first in line gets, if there is one.
    private func perform(_ steps: Machine.Steps, offered line: Line, to first: Request?) {
        switch steps.first {
        case .hand(let handed, let request, _):
            if handed !== line || request !== first { fail("\(handed.id) went to \(request.id)") }
        case .close(let closed):
            if closed !== line || first != nil, !isClosed { fail("closed what was wanted") }
        case .none:
            if first != nil { fail("\(line.id) was kept from who waits") }
        case .connect: fail("made another one instead")
        }
        perform(steps)
    }

    private func perform(_ steps: Machine.Steps) {
        // It is told last, and waits no longer.
        if let (request, _) = steps.refused { answer(request) }
        perform(steps.first)
        switch steps.then {
        case .nothing: break
        case .serve(let ticket): perform(machine.serve(ticket, at: now))
        case .giveBack(let share):
            guard case .key(let name) = share.caller, let number = Int(name) else { return fail("an unknown caller") }
            returnShare(of: number)
            perform(machine.giveBack(of: share, at: now))
        }
        guard let (request, fault) = steps.refused else { return }
        tell("\(request.id) refused, \(fault)")
        if depth < 4, !isSettling, chance(4) { happen() }
    }

    private func perform(_ step: Machine.Step) {
        switch step {
        case .none: break
        case .hand(let line, let request, let isReused):
            if isReused, case .making = line.state { fail("a new one isn't reused") }
            answer(request)
            take(line, for: request)
        case .connect(let deadline): begin(until: deadline)
        case .close(let line): close(line)
        }
    }

    private func begin(until deadline: NIODeadline) {
        if deadline != now + Self.timeout { fail("another deadline") }
        names += 1
        let line = Line(names)
        connects.append(Connect(deadline: deadline, line: line))
        if open > capacity { fail("\(open) open") }
        guard isClosed || depth < 6 && chance(5) else { return }
        // It may be told before it returns.
        connects.removeLast()
        within { isClosed || chance(2) ? failConnect() : connected(line) }
    }

    private func answer(_ request: Request) {
        if request.isParked { fail("answered \(request.id), which is parked") }
        guard outstanding.contains(where: { $0 === request }) else {
            return fail("answered \(request.id) twice or too late")
        }
        outstanding.removeAll { $0 === request }
    }

    // MARK: Time

    private func awaitEnd(of line: Line) {
        if let cut = machine.awaitEnd(of: line, at: now) { close(cut) }
    }

    private func pass(_ time: TimeAmount) {
        now = now + time
        while let late = connects.firstIndex(where: { $0.deadline <= now }) {
            connects.remove(at: late)
            failConnect()
        }
        while violation == nil, let expiry = machine.expire(at: now) {
            switch expiry {
            case .close(let line): close(line)
            case .look(let line): if chance(2) { awaitEnd(of: line) } else { close(line) }
            case .refuse(let request, let fault, let step):
                // Its ticket was cancelled.
                if request.isParked != (fault == .upstreamShare) { fail("refused \(request.id) because of \(fault)") }
                if request.ticket?.state == .connecting { fail("a connect has a time of its own") }
                if now - request.since < Self.timeout { fail("refused \(request.id) too early") }
                let wasParked = request.isParked
                request.isParked = false
                answer(request)
                if !wasParked { returnShare(of: request.caller) }
                perform(step)
                if depth < 4, !isSettling, chance(4) { happen() }
            }
        }
    }

    /// Everybody is answered in the end.
    private func waitForAll() {
        isSettling = true
        for _ in 0..<60 where violation == nil && !outstanding.isEmpty {
            tell("wait")
            within { pass(.milliseconds(500)) }
        }
        if let request = outstanding.first { fail("request \(request.id) waits for ever") }
    }

    /// The connector ends what is being made, then what is idle is closed.
    private func close() {
        tell("close")
        isClosed = true
        machine.close()
        within {
            while !connects.isEmpty {
                connects.removeFirst()
                failConnect()
            }
            for line in machine.idleConnections { close(line) }
            for line in used where violation == nil { chance(2) ? release(line) : end(line) }
        }
    }
}
