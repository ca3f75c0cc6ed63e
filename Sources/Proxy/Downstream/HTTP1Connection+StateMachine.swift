// SPDX-License-Identifier: Apache-2.0

extension HTTP1Connection {
    /// What a client's connection reads, and when it ends. No IO: the connection says what happened, and does what comes back.
    /// Invariants:
    ///
    /// - one request is under way at a time, and none begins once the connection is ending;
    /// - nothing is read for which there is no room: the client waits;
    /// - a client that has closed its sending side is answered, and then its connection ends.
    struct StateMachine {
        /// Who takes the bytes of a body.
        enum BodyTaker: Equatable {
            /// They lie here until it is known who does.
            case nobody
            /// They are kept, or thrown away.
            case sidecar
            /// - Parameter isWilling: takes more for now.
            case handler(isWilling: Bool)
        }

        /// What came of the bytes there are.
        enum Progress {
            case made
            /// More bytes are needed.
            case starved
            /// There are bytes, but nobody takes them now.
            case blocked
        }

        /// Which of its deadlines.
        enum Deadline {
            case head, kept, idle, linger
        }

        private enum State: Equatable {
            /// Between requests, or within a head.
            case idle
            /// - Parameter isStarved: nothing more can be made of the input there is.
            case exchanging(isStarved: Bool)
            /// The last response is written and has yet to leave; what arrives is thrown away.
            case ending(received: Int)
            /// It has left, and our side is closed.
            case lingering(received: Int)
            case closed
        }

        /// What may lie unread while a request is under way.
        static let readAhead = 16 * 1024
        /// What a closing connection is read before it is closed all the same, or while its last response waits.
        static let lingerBytes = 256 * 1024

        private var state = State.idle
        /// Whether there is room for this connection is still to be found out.
        private(set) var awaitsRoom = false
        private(set) var inputEnded = false
        private var isReadWithheld = false
        /// What there is is being taken.
        private var isTaking = false

        var isIdle: Bool { state == .idle }
        var isClosed: Bool { state == .closed }

        var isExchanging: Bool {
            if case .exchanging = state { true } else { false }
        }

        // MARK: Room

        mutating func waitForRoom() {
            awaitsRoom = true
        }

        mutating func findRoom() {
            awaitsRoom = false
        }

        /// It is answered before a byte of it is read.
        mutating func turnAway() {
            precondition(state == .idle, "Only a connection without a request is turned away")
            awaitsRoom = false
            state = .ending(received: 0)
        }

        // MARK: Reading

        mutating func received(_ bytes: Int) -> ReceivedAction {
            switch state {
            case .idle, .exchanging: return .process
            case .ending(let before):
                state = .ending(received: before + bytes)
                return .drop
            case .lingering(let before):
                state = .lingering(received: before + bytes)
                return before + bytes > Self.lingerBytes ? .close : .drop
            case .closed: return .drop
            }
        }

        /// - Returns: whether the channel may read. If not, ``resumesReading(unread:isWritable:body:)`` tells when it may.
        mutating func mayRead(unread: Int, isWritable: @autoclosure () -> Bool, body: @autoclosure () -> BodyTaker)
            -> Bool
        {
            guard wantsInput(unread, isWritable, body) else {
                isReadWithheld = true
                return false
            }
            return true
        }

        /// - Returns: whether the channel is to read now, which it was kept from.
        mutating func resumesReading(
            unread: Int, isWritable: @autoclosure () -> Bool, body: @autoclosure () -> BodyTaker
        ) -> Bool {
            guard isReadWithheld, wantsInput(unread, isWritable, body) else { return false }
            isReadWithheld = false
            return true
        }

        private func wantsInput(_ unread: Int, _ isWritable: () -> Bool, _ body: () -> BodyTaker) -> Bool {
            switch state {
            case .idle: return !awaitsRoom && isWritable()
            // Who sends on without taking its last response waits.
            case .ending(let received): return received <= Self.lingerBytes
            case .lingering: return true
            case .closed: return false
            case .exchanging(let isStarved):
                switch body() {
                case .nobody: return unread < Self.readAhead
                case .sidecar: return true
                // What is left may be the beginning of a chunk's line: it takes more to make something of it.
                case .handler(let isWilling): return isStarved && isWilling
                }
            }
        }

        // MARK: Taking what was read

        /// - Returns: false where it is under way already.
        mutating func beginTaking() -> Bool {
            guard !isTaking else { return false }
            isTaking = true
            return true
        }

        func next(unread: Int, isWritable: @autoclosure () -> Bool) -> NextAction {
            switch state {
            case .idle:
                guard unread > 0 else { return .stop(.starved) }
                // Whoever takes no answers asks nothing more: most answers made here cost their caller nothing.
                return !awaitsRoom && isWritable() ? .readHead : .stop(.blocked)
            case .exchanging: return .readBody
            case .ending, .lingering, .closed: return .discard
            }
        }

        mutating func endTaking(_ progress: Progress) {
            isTaking = false
            if case .exchanging = state { state = .exchanging(isStarved: progress == .starved) }
        }

        // MARK: The end of the input

        /// The client closed its sending side.
        mutating func inputDidEnd() -> InputEndedAction {
            inputEnded = true
            switch state {
            case .idle, .exchanging: return .process
            case .lingering: return .close
            case .ending, .closed: return .none
            }
        }

        /// What there is has been looked at, unless somebody still has to take it.
        mutating func inputTaken(_ progress: Progress, isReceiving: Bool, isTunnel: Bool) -> InputTakenAction {
            guard inputEnded else { return .none }
            switch state {
            case .idle where progress == .starved:
                state = .ending(received: 0)
                return .closeWhenWritten
            case .exchanging where !isReceiving || progress == .starved: return .tellExchange
            case .exchanging where isTunnel: return .waitForHandler
            case .idle, .exchanging, .ending, .lingering, .closed: return .none
            }
        }

        // MARK: Requests

        mutating func begin() {
            precondition(state == .idle, "A request begins when none is under way")
            state = .exchanging(isStarved: false)
        }

        /// The response is complete.
        mutating func finish(_ end: Exchange.DownstreamEnd, isDraining: Bool) -> FinishedAction {
            precondition(isExchanging, "Only a request that was begun ends")
            switch end {
            case .swallow: return .swallow
            case .next:
                state = .idle
                // While draining, its client has as long for a next request as those that were idle when the drain began.
                return .next(inputEnded ? nil : isDraining ? .linger : .kept)
            case .close, .linger:
                state = .ending(received: 0)
                return .close(lingering: end == .linger)
            }
        }

        /// There is no response, or none that can be completed.
        mutating func abandon() {
            switch state {
            case .idle, .exchanging: state = .ending(received: 0)
            case .ending, .lingering, .closed: break
            }
        }

        // MARK: Deadlines

        /// The head didn't come in time. Whoever sent nothing at all gets no answer either.
        func headExpired(unread: Int) -> HeadExpiredAction {
            guard state == .idle else { return .none }
            return unread > 0 ? .refuse : .close
        }

        /// Nothing came for too long, between requests or within a body.
        mutating func idleExpired(
            unread: Int, isWritable: @autoclosure () -> Bool, isReceiving: Bool
        ) -> ExpiredAction {
            switch state {
            case .idle: closeIfIdle(unread, isWritable) ? .closeWhenWritten : .arm(.kept)
            case .exchanging: isReceiving ? .tellExchange : .none
            case .ending, .lingering, .closed: .none
            }
        }

        mutating func lingerExpired(unread: Int, isWritable: @autoclosure () -> Bool) -> ExpiredAction {
            switch state {
            // Only while draining.
            case .idle: closeIfIdle(unread, isWritable) ? .closeWhenWritten : .arm(.linger)
            case .exchanging, .ending, .lingering, .closed: .close
            }
        }

        // MARK: Closing

        /// Nothing is under way. A client that is slow to take its last response is not idle.
        private mutating func closeIfIdle(_ unread: Int, _ isWritable: () -> Bool) -> Bool {
            guard state == .idle, unread == 0, isWritable() else { return false }
            state = .ending(received: 0)
            return true
        }

        /// What remains of a refused request is not waited for either.
        mutating func drain(unread: Int, isWritable: @autoclosure () -> Bool, swallowsBody: Bool) -> DrainedAction {
            if closeIfIdle(unread, isWritable) { return .closeWhenWritten }
            return isExchanging && swallowsBody && isWritable() ? .close : .none
        }

        /// Another connection needs the room.
        mutating func yield(unread: Int, isWritable: @autoclosure () -> Bool) -> YieldedAction {
            if closeIfIdle(unread, isWritable) { return .closeWhenWritten }
            return state == .idle ? .arm(.kept) : .stay
        }

        /// The last response has left.
        mutating func written(lingering: Bool) -> WrittenAction {
            guard lingering, !inputEnded, case .ending = state else { return .close }
            state = .lingering(received: 0)
            return .closeOutput
        }

        mutating func close() -> CloseAction {
            switch state {
            case .exchanging: return .leave
            case .idle:
                // TLS hands on what it has decrypted of a connection that is being closed.
                state = .ending(received: 0)
                return .close
            case .ending, .lingering: return .close
            case .closed: return .none
            }
        }

        /// The channel is gone.
        ///
        /// - Returns: whether a request was under way.
        mutating func closed() -> Bool {
            defer { state = .closed }
            return isExchanging
        }
    }
}
