// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Redis

/// The connection of hash slots that nobody is known to own.
final class NoConnection: RedisLink {
    let isReady = false
    let isRefused = true
    let commandsInFlight = 0
    let isAtRest = true
    private let eventLoop: any EventLoop
    private let reason: () -> RedisError

    /// - Parameter reason: why nobody is known.
    init(on eventLoop: any EventLoop, because reason: @escaping () -> RedisError) {
        self.eventLoop = eventLoop
        self.reason = reason
    }

    var lastFailure: RedisError? { reason() }

    func start() {}
    func authenticate(as _: RedisEndpoint) {}
    func renew(because _: RedisError) {}
    func expire(now _: NIODeadline, having _: TimeAmount) {}
    func rest() {}

    func send(
        _: RedisCommand, deadline _: NIODeadline, late _: RedisConnection.Late?,
        _ completion: @escaping RedisConnection.Completion
    ) {
        completion(.failure(reason()))
    }

    func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}
