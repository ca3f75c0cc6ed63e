// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLS

/// A connection that begins with a TLS handshake: its deadline is that of the first head, from accept on, and the loop bounds
/// how many are at it.
extension HTTP1Connection {
    /// It was let in, and has yet to say a word.
    func beginHandshake() {
        guard let security else { return }
        security.place = loop.deadlines.handshakes.enter(self, at: loop.now)
        if loop.deadlines.handshakes.count > loop.mostHandshakes {
            loop.deadlines.handshakes.popOldest()?.yieldHandshake()
        }
    }

    /// Its place among the handshakes, from which it was taken, is another's.
    func yieldHandshake() {
        security?.place = nil
        failHandshake(.crowdedOut, "others came")
        closeNow()
    }

    func completeHandshake() {
        guard let security, security.endHandshake() else { return }
        leaveHandshakes()
        guard machine.isIdle else { return }
        switch security.identify() {
        case nil: endIfLetInNoMore()
        case .nameRefused?:
            note(.nameRefused, "its certificate's name isn't in allow_subjects")
            machine.turnAway()
            Exchange(of: self).turnAway(.certificateNotAllowed)
            closeWhenWritten(lingering: true)
        case let failure?:
            note(failure, "its certificate is no longer good")
            closeNow()
        }
    }

    /// Nothing begins for a client who was let in by what is no longer in force: the connection ends, unless a request is
    /// under way, which goes on to its end.
    func endIfLetInNoMore() {
        guard let security, !security.isHandshaking, security.isLetInNoMore, machine.isIdle else { return }
        disarm()
        machine.turnAway()
        closeWhenWritten(lingering: true)
    }

    /// Its proxy has said whose it is, for whom there has to be room: that is not to be made by its own end.
    func hasRoomBesidesOwn() -> Bool {
        let isHandshaking = security?.place != nil
        leaveHandshakes()
        let hasRoom = loop.hasRoomForNewcomer()
        // Its handshake begins now: what it waited for before was its proxy's header.
        if isHandshaking { beginHandshake() }
        return hasRoom
    }

    /// Does nothing where it has ended before.
    func failHandshake(_ failure: FailedHandshake, _ text: String) {
        guard let security, security.endHandshake() else { return }
        leaveHandshakes()
        note(failure, text)
    }

    /// Something was wrong with its TLS, or it has ended without a word: no end of what it sends is a clean one. The channel
    /// tells that as the end of the input, too, and closes later.
    func breakSecurity(_ error: any Error) {
        if let (failure, text) = TLSServer.failure(error) { failHandshake(failure, text) }
        closeNow()
    }

    /// It ends before it has begun to speak, for a reason that is told otherwise.
    ///
    /// - Returns: false where it has ended already, or there is none.
    func abandonHandshake() -> Bool {
        guard let security, security.endHandshake() else { return false }
        leaveHandshakes()
        return true
    }

    /// Ends the connection without TLS' word for an end.
    func closeWithoutNotice() {
        guard let security, let context else { return closeNow() }
        do {
            // Past TLS, which would say that all was sent.
            try context.pipeline.syncOperations.context(handler: security.handler).close(promise: nil)
        } catch {
            // TLS has left the pipeline with the connection.
        }
        closeNow()
    }

    private func leaveHandshakes() {
        guard let place = security?.place else { return }
        security?.place = nil
        loop.deadlines.handshakes.leave(place)
    }

    private func note(_ failure: FailedHandshake, _ text: String) {
        // Of one that was not to begin yet, another reader says what was wrong; but nobody else pushes it out.
        guard !peer.isAwaited || failure == .crowdedOut else { return }
        loop.metrics.handshakeFailed(failure)
        // So does whoever only looks whether somebody listens, every few seconds for some.
        guard failure != .closed else { return }
        loop.shared.troubles.handshakes.failed(failure, text, client: peer.client.text, at: loop.now)
    }
}
