// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Redis

/// The connection of hash slots that nobody is known to own.
final class NoConnection: RedisLink {
    /// What is known of the cluster's hash slots.
    enum Knowledge {
        case none
        /// Each is owned, so nothing is to be asked here.
        case whole
        /// Why some are nobody's, or those of all.
        case broken(RedisError)
    }

    let isRefused = true
    let commandsInFlight = 0
    let isAtRest = true
    private let eventLoop: any EventLoop
    private let look: () -> Knowledge

    init(on eventLoop: any EventLoop, knowing look: @escaping () -> Knowledge) {
        self.eventLoop = eventLoop
        self.look = look
    }

    var isReady: Bool { if case .whole = look() { true } else { false } }

    var lastFailure: RedisError? { if case .broken(let error) = look() { error } else { nil } }

    func start() {}
    func authenticate(as _: RedisEndpoint) {}
    func renew(because _: RedisError) {}
    func expire(now _: NIODeadline, having _: TimeAmount) {}
    func rest() {}

    func send(
        _: RedisCommand, deadline _: NIODeadline, late _: RedisConnection.Late?,
        _ completion: @escaping RedisConnection.Completion
    ) {
        completion(.failure(lastFailure ?? .notConnected("nobody has told yet who has which of the cluster's keys")))
    }

    func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}
