// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

@Suite struct HTTP1ConnectionMachineTests {
    typealias Machine = HTTP1Connection.StateMachine

    static let exchanging: Machine = {
        var machine = Machine()
        machine.begin()
        return machine
    }()

    /// Its last response is still to leave.
    static let ending: Machine = {
        var machine = exchanging
        _ = machine.finish(.linger, isDraining: false)
        return machine
    }()

    static let lingering: Machine = {
        var machine = ending
        _ = machine.written(lingering: true)
        return machine
    }()

    static let closed: Machine = {
        var machine = Machine()
        _ = machine.closed()
        return machine
    }()

    // MARK: Reading

    @Test(arguments: [
        (Machine(), Machine.ReceivedAction.process), (exchanging, .process), (ending, .drop), (lingering, .drop),
        (closed, .drop),
    ])
    func whatIsReceivedIsReadUntilTheEnd(machine: Machine, action: Machine.ReceivedAction) {
        var machine = machine
        #expect(machine.received(10) == action)
    }

    @Test func aClosingConnectionReadsNotForEver() {
        var machine = Self.lingering
        #expect(machine.received(Machine.lingerBytes) == .drop)
        #expect(machine.received(1) == .close)
    }

    /// What it owes isn't lost to what its client says meanwhile, nor to its having said all.
    @Test func aClientThatSpeaksOnAndTakesNothingWaits() {
        var machine = Self.ending
        #expect(machine.mayRead(unread: 0, isWritable: false, body: .nobody) == true)
        #expect(machine.received(Machine.lingerBytes) == .drop)
        #expect(machine.mayRead(unread: 0, isWritable: false, body: .nobody) == true)
        #expect(machine.received(1) == .drop)
        #expect(machine.mayRead(unread: 0, isWritable: false, body: .nobody) == false)
        var ended = machine
        #expect(ended.inputDidEnd() == .none)
        #expect(ended.written(lingering: true) == .close)
        #expect(machine.written(lingering: true) == .closeOutput)
        #expect(machine.resumesReading(unread: 0, isWritable: true, body: .nobody) == true)
        #expect(machine.received(Machine.lingerBytes) == .drop)
        #expect(machine.received(1) == .close)
    }

    @Test(arguments: [
        (Machine.BodyTaker.nobody, 0, true), (.nobody, Machine.readAhead - 1, true),
        (.nobody, Machine.readAhead, false), (.sidecar, 1 << 20, true),
        (.handler(isWilling: true), 0, false), (.handler(isWilling: false), 0, false),
    ])
    func aRequestReadsWhatItTakes(body: Machine.BodyTaker, unread: Int, reads: Bool) {
        var machine = Self.exchanging
        #expect(machine.mayRead(unread: unread, isWritable: false, body: body) == reads)
    }

    @Test(arguments: [
        (Machine.Progress.starved, true, true), (.starved, false, false), (.blocked, true, false),
    ])
    func aStarvedBodyReadsOnForAWillingHandler(progress: Machine.Progress, isWilling: Bool, reads: Bool) {
        var machine = Self.exchanging
        _ = machine.beginTaking()
        machine.endTaking(progress)
        #expect(machine.mayRead(unread: 3, isWritable: true, body: .handler(isWilling: isWilling)) == reads)
    }

    @Test func anIdleConnectionReadsWhileItsClientTakesAnswers() {
        var machine = Machine()
        #expect(machine.mayRead(unread: 0, isWritable: false, body: .nobody) == false)
        #expect(machine.resumesReading(unread: 0, isWritable: false, body: .nobody) == false)
        #expect(machine.resumesReading(unread: 0, isWritable: true, body: .nobody) == true)
        // It has been told.
        #expect(machine.resumesReading(unread: 0, isWritable: true, body: .nobody) == false)
        #expect(machine.next(unread: 5, isWritable: false) == .stop(.blocked))
        #expect(machine.next(unread: 5, isWritable: true) == .readHead)
        #expect(machine.next(unread: 0, isWritable: true) == .stop(.starved))
    }

    @Test func withoutRoomNothingIsRead() {
        var machine = Machine()
        machine.waitForRoom()
        #expect(machine.mayRead(unread: 0, isWritable: true, body: .nobody) == false)
        #expect(machine.next(unread: 5, isWritable: true) == .stop(.blocked))
        machine.findRoom()
        #expect(machine.next(unread: 5, isWritable: true) == .readHead)
        #expect(machine.resumesReading(unread: 5, isWritable: true, body: .nobody) == true)
    }

    @Test func takingIsNotBegunTwice() {
        var machine = Machine()
        #expect(machine.beginTaking() == true)
        #expect(machine.beginTaking() == false)
        machine.endTaking(.starved)
        #expect(machine.beginTaking() == true)
    }

    @Test(arguments: [
        (exchanging, Machine.NextAction.readBody), (ending, .discard), (lingering, .discard), (closed, .discard),
    ])
    func whatIsThereGoesToWhatIsUnderWay(machine: Machine, action: Machine.NextAction) {
        #expect(machine.next(unread: 5, isWritable: true) == action)
    }

    // MARK: The end of the input

    @Test(arguments: [
        (Machine(), Machine.InputEndedAction.process), (exchanging, .process), (ending, .none), (lingering, .close),
        (closed, .none),
    ])
    func theEndOfTheInputIsLookedAt(machine: Machine, action: Machine.InputEndedAction) {
        var machine = machine
        #expect(!machine.inputEnded)
        #expect(machine.inputDidEnd() == action)
        #expect(machine.inputEnded)
    }

    @Test(arguments: [
        (Machine(), Machine.Progress.starved, false, false, Machine.InputTakenAction.closeWhenWritten),
        // Requests that were sent ahead wait for their client to take answers.
        (Machine(), .blocked, false, false, .none),
        (exchanging, .starved, true, false, .tellExchange), (exchanging, .blocked, false, false, .tellExchange),
        (exchanging, .blocked, true, false, .none), (exchanging, .blocked, true, true, .waitForHandler),
        (exchanging, .starved, true, true, .tellExchange),
        (lingering, .blocked, false, false, .none), (closed, .blocked, false, false, .none),
    ])
    func aClientThatClosedIsAnsweredFirst(
        machine: Machine, progress: Machine.Progress, isReceiving: Bool, isTunnel: Bool,
        action: Machine.InputTakenAction
    ) {
        var open = machine
        #expect(open.inputTaken(progress, isReceiving: isReceiving, isTunnel: isTunnel) == .none)
        var ended = machine
        _ = ended.inputDidEnd()
        #expect(ended.inputTaken(progress, isReceiving: isReceiving, isTunnel: isTunnel) == action)
        #expect(ended.isIdle == (machine.isIdle && action == .none))
    }

    // MARK: Requests

    @Test(arguments: [
        (Exchange.DownstreamEnd.swallow, false, Machine.FinishedAction.swallow), (.next, false, .next(.kept)),
        (.next, true, .next(.linger)), (.close, false, .close(lingering: false)),
        (.linger, true, .close(lingering: true)),
    ])
    func aResponseEndsAsItsExchangeSays(
        end: Exchange.DownstreamEnd, isDraining: Bool, action: Machine.FinishedAction
    ) {
        var machine = Self.exchanging
        #expect(machine.finish(end, isDraining: isDraining) == action)
        #expect(machine.isExchanging == (end == .swallow))
        #expect(machine.isIdle == (end == .next))
    }

    @Test func afterTheLastInputNothingIsWaitedFor() {
        var machine = Self.exchanging
        _ = machine.inputDidEnd()
        #expect(machine.finish(.next, isDraining: false) == .next(nil))
    }

    // MARK: Deadlines

    @Test(arguments: [
        (Machine(), 0, Machine.HeadExpiredAction.close), (Machine(), 1, .refuse), (exchanging, 1, .none),
        (lingering, 0, .none), (closed, 0, .none),
    ])
    func aLateHeadIsRefused(machine: Machine, unread: Int, action: Machine.HeadExpiredAction) {
        #expect(machine.headExpired(unread: unread) == action)
    }

    @Test(arguments: [
        (Machine(), 0, true, false, Machine.ExpiredAction.closeWhenWritten), (Machine(), 1, true, false, .arm(.kept)),
        (Machine(), 0, false, false, .arm(.kept)), (exchanging, 0, true, true, .tellExchange),
        (exchanging, 0, true, false, .none), (lingering, 0, true, false, .none), (closed, 0, true, false, .none),
    ])
    func anIdleConnectionIsClosed(
        machine: Machine, unread: Int, isWritable: Bool, isReceiving: Bool, action: Machine.ExpiredAction
    ) {
        var machine = machine
        #expect(machine.idleExpired(unread: unread, isWritable: isWritable, isReceiving: isReceiving) == action)
    }

    @Test(arguments: [
        (Machine(), 0, Machine.ExpiredAction.closeWhenWritten), (Machine(), 1, .arm(.linger)), (exchanging, 0, .close),
        (lingering, 0, .close), (closed, 0, .close),
    ])
    func whatLingersIsClosed(machine: Machine, unread: Int, action: Machine.ExpiredAction) {
        var machine = machine
        #expect(machine.lingerExpired(unread: unread, isWritable: true) == action)
    }

    // MARK: Closing

    @Test(arguments: [
        (Machine(), 0, true, false, Machine.DrainedAction.closeWhenWritten), (Machine(), 1, true, false, .none),
        (Machine(), 0, false, false, .none), (exchanging, 0, true, true, .close), (exchanging, 0, true, false, .none),
        (exchanging, 0, false, true, .none), (lingering, 0, true, false, .none), (closed, 0, true, false, .none),
    ])
    func aDrainClosesWhatIsIdle(
        machine: Machine, unread: Int, isWritable: Bool, swallowsBody: Bool, action: Machine.DrainedAction
    ) {
        var machine = machine
        #expect(machine.drain(unread: unread, isWritable: isWritable, swallowsBody: swallowsBody) == action)
    }

    @Test(arguments: [
        (Machine(), 0, Machine.YieldedAction.closeWhenWritten), (Machine(), 1, .arm(.kept)), (exchanging, 0, .stay),
        (lingering, 0, .stay),
    ])
    func anIdleConnectionMakesRoom(machine: Machine, unread: Int, action: Machine.YieldedAction) {
        var machine = machine
        #expect(machine.yield(unread: unread, isWritable: true) == action)
    }

    @Test func theLastResponseIsListenedBehind() {
        for (machine, lingering, action) in [
            (Self.ending, true, Machine.WrittenAction.closeOutput), (Self.ending, false, .close),
            (Self.lingering, true, .close), (Self.closed, true, .close),
        ] {
            var machine = machine
            #expect(machine.written(lingering: lingering) == action)
        }
    }

    @Test(arguments: [
        (Machine(), Machine.CloseAction.close), (exchanging, .leave), (lingering, .close), (closed, .none),
    ])
    func aRequestEndsBeforeItsConnection(machine: Machine, action: Machine.CloseAction) {
        var machine = machine
        #expect(machine.close() == action)
        // What TLS hands on all the same is thrown away.
        #expect(action != .close || machine.received(1) == .drop)
        #expect(action != .close || machine.next(unread: 1, isWritable: true) == .discard)
        let wasExchanging = machine.closed()
        #expect(wasExchanging == (action == .leave))
        #expect(machine.isClosed)
    }

    @Test func aRequestThatIsGivenUpLeavesItsConnectionLingering() {
        var machine = Self.exchanging
        machine.abandon()
        #expect(machine.close() == .close)
        #expect(machine.received(1) == .drop)
        var closed = Self.closed
        closed.abandon()
        #expect(closed.isClosed)
    }

    @Test func aConnectionThatIsTurnedAwayIsNotRead() {
        var machine = Machine()
        machine.waitForRoom()
        machine.turnAway()
        #expect(machine.next(unread: 5, isWritable: true) == .discard)
        #expect(machine.close() == .close)
    }
}
