// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Which connections a loop has, and who may have one.
extension Loop {
    enum Entry: Equatable {
        case admitted
        /// Another loop is asked to make room; the connection is told.
        case pending
        case refused(Crowding)
    }

    /// Why there is no room.
    enum Crowding: Equatable {
        /// `limits.connections`
        case process
        /// `limits.connections_per_address`
        case address
    }

    /// Of kept connections that are looked at for one that is idle.
    private static let mostLookedAt = 16
    /// Beyond `limits.connections`, while it isn't known yet whose they are.
    private static let mostAwaitedBeyond = 32

    func admit(_ connection: HTTP1Connection) -> Entry {
        wake()
        switch shared.ledger.enter(connection.ledgerAddress) {
        case .shareTaken:
            shared.troubles.sharing.failed(at: now)
            return .refused(.address)
        case .admitted: break
        case .crowded:
            // Nobody has to leave for one that may be refused for its own address' sake.
            if connection.peer.isAwaited, shared.ledger.excess <= Self.mostAwaitedBeyond { break }
            if makeRoom() { break }
            guard let others, others.count > 1 else {
                shared.ledger.leave(connection.ledgerAddress)
                shared.troubles.crowding.failed(at: now)
                return .refused(.process)
            }
            enter(connection)
            askOthers(others, for: connection)
            return .pending
        }
        shared.troubles.crowding.succeeded()
        shared.troubles.sharing.succeeded()
        enter(connection)
        return .admitted
    }

    /// A proxy's connection turns out to be that of an address.
    ///
    /// - Returns: false where that has its share.
    func claim(for address: String) -> Bool {
        guard shared.ledger.claim(for: address) else {
            shared.troubles.sharing.failed(at: now)
            return false
        }
        shared.troubles.sharing.succeeded()
        return true
    }

    /// Whether there is room for one that wasn't known before, or is made.
    func hasRoomForNewcomer() -> Bool {
        guard shared.ledger.excess > 0, !makeRoom() else { return true }
        shared.troubles.crowding.failed(at: now)
        return false
    }

    /// No proxy has said for whom it speaks, or none that may: the connection is to be closed.
    func refuseHeader(_ failure: ProxyHeaderFailure, of peer: Peer) {
        wake()
        metrics.failed(failure)
        // Whoever tries the door must not keep what one's own proxy does wrong from being told.
        let trouble = failure == .untrusted ? shared.troubles.strangers : shared.troubles.headers
        trouble.failed(RefusedHeader(failure: failure, peer: peer.client.text), at: now)
    }

    /// TLS handshakes that may be under way at a time: half of the connections.
    var mostHandshakes: Int {
        max(HandshakeQueue.fewest, share.of(epoch.snapshot.bounds.connections) / 2)
    }

    /// Closes the connection whose handshake takes long, else the one that has been between two requests for longest.
    ///
    /// - Returns: whether there was one; it is no longer counted.
    func makeRoom() -> Bool {
        if let slow = deadlines.handshakes.popSlow(at: now) {
            uncount(slow)
            slow.yieldHandshake()
            return true
        }
        for _ in 0..<Self.mostLookedAt {
            guard let oldest = deadlines.kept.popFirst() else { return false }
            if oldest.makesRoom() { return true }
        }
        return false
    }

    private func askOthers(_ others: LoopTable, for connection: HTTP1Connection) {
        let bound = NIOLoopBound((self, connection), eventLoop: eventLoop)
        others.makeRoom(besides: index) { [eventLoop] isMade in
            eventLoop.execute {
                let (loop, connection) = bound.value
                // The client may have left meanwhile.
                guard connection.isIdle else { return }
                if isMade {
                    loop.shared.troubles.crowding.succeeded()
                    connection.welcome()
                } else {
                    loop.shared.troubles.crowding.failed(at: loop.now)
                    connection.turnAway(.process)
                }
            }
        }
    }
}
