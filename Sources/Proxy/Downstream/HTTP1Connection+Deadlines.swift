// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import TLS

/// What a client owes in time: a head, the next request, a body, and to take its answers.
extension HTTP1Connection {
    /// The one deadline it has at a time.
    enum ArmedDeadline {
        case none
        case head(DeadlineQueue<HTTP1Connection>.Token)
        case kept(DeadlineQueue<HTTP1Connection>.Token)
        case idle(DeadlineQueue<HTTP1Connection>.Token)
        case linger(DeadlineQueue<HTTP1Connection>.Token)
    }

    /// Whether the client takes what is there for it.
    struct StallWatch {
        /// Runs while there may be bytes that it doesn't take.
        fileprivate var deadline: DeadlineQueue<HTTP1Connection>.Token?
        /// Bytes that had left when it was last looked, and for how many looks' time no more of them have.
        private var taken: Int?
        private var takenFor = TimeAmount.zero
        /// Bytes written so far; some of them may still wait.
        var written = 0

        /// It counts anew.
        mutating func begin() {
            taken = nil
        }

        /// - Parameters:
        ///   - waiting: bytes that haven't left. By TLS they are more than were written, by up to 22 a write: then it seems that
        ///     some came back, which is no sign of the client.
        ///   - time: since the last look. Looks are counted, not time: while the process stood still nobody could take anything.
        /// - Returns: for how long it has taken nothing.
        mutating func look(waiting: Int, after time: TimeAmount) -> TimeAmount {
            let left = written - waiting
            takenFor = taken.map { left <= $0 } == true ? takenFor + time : .zero
            taken = left
            return takenFor
        }
    }

    func arm(_ deadline: StateMachine.Deadline) {
        disarm()
        switch deadline {
        case .head: armed = .head(loop.deadlines.head.arm(self, at: loop.now))
        case .kept: armed = .kept(loop.deadlines.kept.arm(self, at: loop.now))
        case .idle: armed = .idle(loop.deadlines.idle.arm(self, at: loop.now))
        case .linger: armed = .linger(loop.deadlines.linger.arm(self, at: loop.now))
        }
    }

    func rearmIdle() {
        if case .idle(let token) = armed { loop.deadlines.idle.rearm(token, at: loop.now) }
    }

    func disarm() {
        switch armed {
        case .none: break
        case .head(let token): loop.deadlines.head.cancel(token)
        case .kept(let token): loop.deadlines.kept.cancel(token)
        case .idle(let token): loop.deadlines.idle.cancel(token)
        case .linger(let token): loop.deadlines.linger.cancel(token)
        }
        armed = .none
    }

    /// The head didn't come in time. Whoever sent nothing at all gets no answer either.
    func headTimedOut() {
        armed = .none
        switch machine.headExpired(unread: unread) {
        case .none: break
        case .close:
            if peer.isAwaited, !machine.awaitsRoom { loop.refuseHeader(.timeout, of: peer) }
            failHandshake(.timedOut, "not finished within limits.header_timeout")
            closeNow()
        case .refuse:
            refuse(.timedOut("Request head not received in time"))
            process()
        }
    }

    /// Nothing came for too long, between requests or within a body.
    func idleTimedOut() {
        armed = .none
        perform(
            machine.idleExpired(
                unread: unread, isWritable: isWritable, isReceiving: exchange?.isReceiving == true))
    }

    private func perform(_ action: StateMachine.ExpiredAction) {
        switch action {
        case .none: break
        case .arm(let deadline): arm(deadline)
        case .closeWhenWritten: closeIdle()
        case .tellExchange: exchange?.bodyIsOverdue()
        case .close: closeNow()
        }
    }

    func lingerTimedOut() {
        armed = .none
        perform(machine.lingerExpired(unread: unread, isWritable: isWritable))
    }

    // MARK: Taking

    /// How long a client may take nothing while there is something for it. A stream may find it asleep.
    private var stallPatience: TimeAmount {
        let bounds = snapshot.bounds
        return machine.isExchanging && exchange?.isStream == true ? bounds.idleTimeout : bounds.stallTimeout
    }

    /// Something was written. From now on it is looked at now and then whether the client takes any of it: to look each time
    /// would cost more than to write.
    func watchStall() {
        guard stall.deadline == nil else { return }
        stall.begin()
        stall.deadline = loop.deadlines.stall.arm(self, at: loop.now)
    }

    func endStallWatch() {
        if let deadline = stall.deadline { loop.deadlines.stall.cancel(deadline) }
        stall.deadline = nil
    }

    /// A client that has taken not one byte for long has gone, or is out to use up connections, ours and the handler's.
    func lookForStall() {
        stall.deadline = nil
        guard !machine.isClosed, let context else { return }
        let waiting = context.channel.bufferedBytes + pendingBytes
        guard waiting > 0 else { return }
        guard stall.look(waiting: waiting, after: loop.deadlines.stall.duration) < stallPatience else {
            exchange?.clientStalled()
            return reset()
        }
        stall.deadline = loop.deadlines.stall.arm(self, at: loop.now)
    }
}
