// SPDX-License-Identifier: Apache-2.0

import HTTP1
import LibC
import NIOCore

/// How requests and connections end, and which connection makes room for another.
extension HTTP1Connection {
    // MARK: Its exchange

    /// The response is complete.
    ///
    /// - Returns: what ``goOn(_:)`` is told when its exchange has settled with the handler.
    func finish(_ end: Exchange.DownstreamEnd) -> StateMachine.FinishedAction {
        // The answer may have begun before its client was let in no more.
        let isLast = end == .next && security?.isLetInNoMore == true
        let action = machine.finish(isLast ? .linger : end, isDraining: loop.isDraining)
        switch action {
        case .swallow: arm(.idle)
        case .next(let deadline?): arm(deadline)
        case .next(nil), .close: disarm()
        }
        return action
    }

    func goOn(_ action: StateMachine.FinishedAction) {
        switch action {
        case .swallow, .next:
            flushResponse()
            process()
        // TLS' word for the end is lost where a socket that is full is closed at once.
        case .close(let lingering): closeWhenWritten(lingering: lingering || security != nil)
        }
    }

    /// There is no response, or none that can be completed.
    func abandon() {
        machine.abandon()
    }

    // MARK: Closing

    /// Closing at once would throw away what the socket hasn't taken, and a close with unread input resets the connection
    /// under the client's last response.
    func closeWhenWritten(lingering: Bool) {
        guard let context else { return }
        let allWritten = context.eventLoop.makePromise(of: Void.self)
        allWritten.futureResult.assumeIsolated().whenComplete { _ in
            self.endStallWatch()
            switch self.machine.written(lingering: lingering) {
            case .close: self.closeNow()
            case .closeOutput:
                self.arm(.linger)
                self.context?.close(mode: .output, promise: nil)
                self.resumeReading()
            }
        }
        // Who may sleep over a stream has the time of everybody for the rest of it, and all of that.
        stall.begin()
        watchStall()
        handOver()
        context.write(wrapOutboundOut(ByteBuffer()), promise: allWritten)
        flushResponse()
    }

    /// Also when the time of a drain is over.
    func closeNow() {
        switch machine.close() {
        case .none: break
        case .leave: exchange?.clientLeft()
        case .close:
            disarm()
            context?.close(promise: nil)
        }
    }

    func closeIdle() {
        disarm()
        // What is written waits for the end of a handshake.
        guard !abandonHandshake() else { return closeNow() }
        closeWhenWritten(lingering: false)
    }

    /// Draining.
    func closeIfIdle() {
        switch machine.drain(
            unread: unread, isWritable: isWritable, swallowsBody: exchange?.swallowsBody == true)
        {
        case .none: break
        case .closeWhenWritten: closeIdle()
        case .close: closeNow()
        }
    }

    /// Closes so that nothing of what still waits is sent, and nobody takes the end for a clean one.
    func reset() {
        guard let socket = context?.channel as? any SocketOptionProvider else { return closeNow() }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).assumeIsolated().whenComplete { _ in
            self.closeWithoutNotice()
        }
    }

    // MARK: Room

    /// There is room after all.
    func welcome() {
        machine.findRoom()
        process()
    }

    /// The oldest that is idle goes when another comes. It has left the queue of those that are kept.
    ///
    /// - Returns: whether it does.
    func makesRoom() -> Bool {
        armed = .none
        switch machine.yield(unread: unread, isWritable: isWritable) {
        case .stay: return false
        case .arm(let deadline):
            arm(deadline)
            return false
        case .closeWhenWritten:
            loop.uncount(self)
            closeIdle()
            return true
        }
    }

    /// It is answered before a byte of it is read, and closed at once: those that are turned away must not be what the
    /// process runs out of descriptors by.
    ///
    /// By TLS it gets no answer: that would take a handshake.
    func turnAway(_ crowding: Loop.Crowding) {
        _ = abandonHandshake()
        machine.turnAway()
        Exchange(of: self).turnAway(
            .unavailable(
                "Too many connections", reason: crowding == .process ? .connectionLimit : .connectionShare))
        flushResponse()
        closeNow()
    }
}
