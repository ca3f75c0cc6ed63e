// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Proxy

extension HTTP1ConnectionMachineTests {
    private enum Event: CaseIterable {
        case received, inputEnded, respond, bodyTaken, willing, unwilling, writable, unwritable, room
        case headExpired, idleExpired, lingerExpired, drain, yield, abandon, written, gone
    }

    /// Random interleavings of what a client, an exchange, deadlines and a drain do to a connection; the invariants in the
    /// machine's comment hold after each.
    @Test func keepsItsInvariantsInAnyOrder() {
        var random = SplitMix(seed: 2026)
        for schedule in 0..<Rounds.usually(100_000) {
            let run = Run(awaitsRoom: random.next(below: 8) == 0)
            for _ in 0..<40 where !run.isClosed {
                guard let event = Event.allCases.randomElement(using: &random) else { continue }
                run.deliver(event, using: &random)
                if run.violation != nil { break }
            }
            run.settle(using: &random)
            #expect(run.violation == nil, "schedule \(schedule)")
            #expect(run.isClosed, "schedule \(schedule) did not end")
            if run.violation != nil || !run.isClosed { return }
        }
    }

    /// A connection as its handler has it, and what a client may expect of it.
    private final class Run {
        private enum Request { case none, receiving, whole }

        private var machine = Machine()
        private var request = Request.none
        private var isSwallowing = false
        private var body = Machine.BodyTaker.nobody
        private var unread = 0
        private var isWritable = true
        private var awaitsRoom: Bool
        private var inputEnded = false
        /// The channel has asked for bytes, and gets them when there are any.
        private var isReading = false
        private var isLast = false
        private var isOutputClosed = false
        private var lingered = 0
        private(set) var isClosed = false
        private(set) var violation: String?

        init(awaitsRoom: Bool) {
            self.awaitsRoom = awaitsRoom
            if awaitsRoom { machine.waitForRoom() }
            read()
        }

        func deliver(_ event: Event, using random: inout SplitMix) {
            switch event {
            case .received where isReading && !inputEnded: receive(1 + random.next(below: 40_000), using: &random)
            case .inputEnded where !inputEnded: endInput(using: &random)
            case .respond where request != .none && !isSwallowing: respond(using: &random)
            case .bodyTaken where request == .receiving && !isSwallowing:
                body = random.next(below: 3) == 0 ? .sidecar : .handler(isWilling: .random(using: &random))
                take(using: &random)
            case .willing where body == .handler(isWilling: false):
                body = .handler(isWilling: true)
                take(using: &random)
            case .unwilling where body == .handler(isWilling: true): body = .handler(isWilling: false)
            case .writable where !isWritable: becomeWritable(using: &random)
            case .unwritable: isWritable = false
            case .room where awaitsRoom: decideRoom(.random(using: &random), using: &random)
            case .headExpired: headExpires(using: &random)
            case .idleExpired:
                expire(
                    machine.idleExpired(
                        unread: unread, isWritable: isWritable, isReceiving: request == .receiving),
                    using: &random)
            case .lingerExpired: expire(machine.lingerExpired(unread: unread, isWritable: isWritable), using: &random)
            case .drain:
                switch machine.drain(unread: unread, isWritable: isWritable, swallowsBody: isSwallowing) {
                case .none: break
                case .closeWhenWritten: beginLast()
                case .close: close()
                }
            case .yield: if machine.yield(unread: unread, isWritable: isWritable) == .closeWhenWritten { beginLast() }
            case .abandon where request != .none:
                machine.abandon()
                leave()
                close()
            case .written where isLast: written(lingering: .random(using: &random))
            case .gone: gone()
            default: break
            }
            if !isClosed { resume() }
        }

        /// The client goes, and everybody takes what there is.
        func settle(using random: inout SplitMix) {
            for _ in 0..<8 where !isClosed && violation == nil {
                if awaitsRoom { decideRoom(true, using: &random) }
                if !isClosed, !isWritable { becomeWritable(using: &random) }
                if !isClosed, !inputEnded { endInput(using: &random) }
                if !isClosed, request != .none, !isSwallowing { respond(using: &random) }
                if !isClosed { take(using: &random) }
                if !isClosed, isLast { written(lingering: false) }
                // A request whose body never ends is what its deadline is for.
                if !isClosed, request != .none { close() }
            }
        }

        // MARK: The client

        private func receive(_ bytes: Int, using random: inout SplitMix) {
            isReading = false
            switch machine.received(bytes) {
            case .process:
                if isLast { violation = "reads on after its last response" }
                unread += bytes
                take(using: &random)
            case .drop:
                if !isLast { violation = "drops what may be a request" }
                // Where it waits for its last response to leave it closes for no more, but reads no more either.
                if lingered > Machine.lingerBytes { violation = "listens for ever" }
                lingered += bytes
                if isOutputClosed, lingered > Machine.lingerBytes { violation = "lingers for ever" }
            case .close: close()
            }
            if !isClosed { read() }
        }

        private func endInput(using random: inout SplitMix) {
            inputEnded = true
            switch machine.inputDidEnd() {
            case .none: if !isLast || isOutputClosed { violation = "does not see the end" }
            case .process: take(using: &random)
            case .close: close()
            }
        }

        private func becomeWritable(using random: inout SplitMix) {
            isWritable = true
            if machine.isIdle { take(using: &random) }
        }

        private func decideRoom(_ isFound: Bool, using random: inout SplitMix) {
            awaitsRoom = false
            guard machine.isIdle else { return }
            guard isFound else {
                machine.turnAway()
                isLast = true
                return close()
            }
            machine.findRoom()
            take(using: &random)
        }

        // MARK: Reading

        private func read() {
            isReading = machine.mayRead(unread: unread, isWritable: isWritable, body: taker)
            checkReading()
        }

        private func checkReading() {
            guard isReading, !isLast else { return }
            if request == .none, !isWritable || awaitsRoom { violation = "reads from who takes nothing" }
            if request != .none, taker == .nobody, unread >= Machine.readAhead { violation = "reads without room" }
            if taker == .handler(isWilling: false) { violation = "reads what nobody takes" }
        }

        private func resume() {
            guard !isReading else { return }
            isReading = machine.resumesReading(unread: unread, isWritable: isWritable, body: taker)
            checkReading()
            if !isReading, request == .none, isLast || isWritable && !awaitsRoom { violation = "forgets to read on" }
            if !isReading, taker == .sidecar { violation = "forgets a body" }
        }

        private var taker: Machine.BodyTaker { isSwallowing ? .sidecar : request == .receiving ? body : .nobody }

        private func take(using random: inout SplitMix) {
            guard machine.beginTaking() else { return violation = "takes twice" }
            if machine.beginTaking() { violation = "takes within itself" }
            var progress = Machine.Progress.made
            while progress == .made {
                switch machine.next(unread: unread, isWritable: isWritable) {
                case .readHead: progress = readHead(using: &random)
                case .readBody: progress = readBody(using: &random)
                case .discard:
                    if !isLast { violation = "throws a request away" }
                    unread = 0
                    progress = .blocked
                case .stop(let reached): progress = reached
                }
            }
            machine.endTaking(progress)
            guard inputEnded else { return }
            switch machine.inputTaken(progress, isReceiving: request == .receiving, isTunnel: false) {
            case .none: break
            case .closeWhenWritten:
                if request != .none { violation = "closes under a request" }
                beginLast()
            case .tellExchange:
                if request == .none { violation = "tells an exchange that is none" }
                // A request that never becomes whole.
                if request == .receiving { close() }
            case .waitForHandler: violation = "there is no tunnel"
            }
        }

        private func readHead(using random: inout SplitMix) -> Machine.Progress {
            if request != .none || isLast || isClosed { violation = "a request too many" }
            if !isWritable || awaitsRoom || unread == 0 { violation = "begins what it can't answer" }
            guard random.next(below: 4) > 0 else { return .starved }
            unread -= 1 + random.next(below: unread)
            machine.begin()
            request = .random(using: &random) ? .receiving : .whole
            body = .nobody
            return .made
        }

        private func readBody(using random: inout SplitMix) -> Machine.Progress {
            if request == .none { violation = "a body without a request" }
            guard request == .receiving, taker == .sidecar || taker == .handler(isWilling: true) else {
                return .blocked
            }
            guard unread > 0, random.next(below: 5) > 0 else { return .starved }
            unread -= 1 + random.next(below: unread)
            guard .random(using: &random) else { return .made }
            request = .whole
            if isSwallowing { finish(.random(using: &random) ? .next : .close) }
            return .made
        }

        // MARK: The exchange

        private func respond(using random: inout SplitMix) {
            switch request {
            case .none: break
            case .receiving: finish(.random(using: &random) ? .swallow : .linger)
            case .whole:
                finish(random.next(below: 4) > 0 ? .next : .random(using: &random) ? .close : .linger)
                take(using: &random)
            }
        }

        private func finish(_ end: Exchange.DownstreamEnd) {
            switch machine.finish(end, isDraining: false) {
            case .swallow: isSwallowing = true
            case .next(let deadline):
                if (deadline == nil) != inputEnded { violation = "waits for a request that can't come" }
                leave()
            case .close:
                leave()
                beginLast()
            }
        }

        private func leave() {
            (request, isSwallowing, body) = (.none, false, .nobody)
        }

        // MARK: The end

        private func headExpires(using random: inout SplitMix) {
            switch machine.headExpired(unread: unread) {
            case .none: break
            case .close: close()
            case .refuse:
                if request != .none || isLast { violation = "refuses what is no head" }
                machine.begin()
                request = .receiving
                finish(.linger)
                take(using: &random)
            }
        }

        private func expire(_ action: Machine.ExpiredAction, using random: inout SplitMix) {
            switch action {
            case .none, .arm: break
            case .closeWhenWritten: beginLast()
            case .tellExchange:
                if request != .receiving { violation = "hurries a client that owes nothing" }
                close()
            case .close: close()
            }
        }

        private func beginLast() {
            if isLast { violation = "its last response comes twice" }
            if request != .none { violation = "ends under a request" }
            isLast = true
        }

        private func written(lingering: Bool) {
            switch machine.written(lingering: lingering) {
            case .close: close()
            case .closeOutput:
                if inputEnded || !lingering || isOutputClosed { violation = "listens to nobody" }
                (isOutputClosed, lingered) = (true, 0)
            }
        }

        private func close() {
            switch machine.close() {
            case .none: break
            case .leave:
                if request == .none { violation = "leaves no request" }
                machine.abandon()
                leave()
                if machine.close() != .close { violation = "a request that was left stays" }
                gone()
            case .close:
                if request != .none { violation = "closes under a request" }
                gone()
            }
        }

        private func gone() {
            if isClosed { violation = "closed twice" }
            if machine.closed() != (request != .none) { violation = "an exchange is not told" }
            leave()
            isClosed = true
            if machine.close() != .none || machine.received(1) != .drop { violation = "goes on after its end" }
            if machine.mayRead(unread: 0, isWritable: true, body: .sidecar) { violation = "reads after its end" }
        }
    }
}
