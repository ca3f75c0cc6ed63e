// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import NIOPosix

/// One connection of the control plane to one server: greeted when it is there, and never made again.
final class ClientConnection: Sendable {
    /// A command, and whether the node is to carry it out although its hash slot is still another's (`ASKING`).
    typealias Question = (command: RedisCommand, isAsking: Bool)

    let handler: NIOLoopBound<RedisChannelHandler>
    private let ticking: RepeatedTask
    private let timeout: TimeAmount

    /// - Parameters:
    ///   - timeout: of each command.
    ///   - patience: of the connect, and once more of the greeting.
    static func connect(
        to endpoint: RedisEndpoint, timeout: TimeAmount, patience: TimeAmount, longestReply: Int
    ) async throws(RedisError) -> ClientConnection {
        let connection: ClientConnection
        do {
            let handler = try await endpoint.connect(
                on: MultiThreadedEventLoopGroup.singleton.next(), timeout: patience, longestReply: longestReply,
                longestQueue: .max
            ).get()
            connection = ClientConnection(handler: handler, timeout: timeout)
        } catch {
            throw RedisError(connecting: error)
        }
        do {
            try await connection.greet(endpoint, within: patience)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    private init(handler: NIOLoopBound<RedisChannelHandler>, timeout: TimeAmount) {
        self.handler = handler
        self.timeout = timeout
        let pace = NIOLoopBoundBox.makeBoxSendingValue(TickPace(), eventLoop: handler.eventLoop)
        ticking = handler.eventLoop.scheduleRepeatedTask(
            initialDelay: TickPace.interval, delay: TickPace.interval
        ) { _ in
            let now = handler.eventLoop.now
            // Ctrl-Z, for example.
            let tick = pace.value.tick(at: now)
            if tick.excess > .zero { handler.value.shift(by: tick.excess) }
            if tick.expires { handler.value.expire(at: now) }
        }
        whenClosed {}
    }

    private func greet(_ endpoint: RedisEndpoint, within patience: TimeAmount) async throws(RedisError) {
        let handler = handler
        let result: Result<Void, RedisError> = await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                let deadline = handler.eventLoop.now + patience
                handler.value.greet(endpoint, isCautious: true, before: deadline) { continuation.resume(returning: $0) }
            }
        }
        try result.get()
    }

    func send(_ command: RedisCommand) async throws(RedisError) -> RedisReply {
        let handler = handler
        let timeout = timeout
        let result: Result<RedisReply, RedisError> = await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                handler.value.send(command, deadline: handler.eventLoop.now + timeout) {
                    continuation.resume(returning: $0)
                }
            }
        }
        return try result.get()
    }

    /// Sends many at once, which costs one round trip.
    ///
    /// - Parameter tellingLoss: where the connection is gone already, each fails with `.notConnected`, for nothing was sent; else with
    ///   what it was lost by. A command under way when the server refused another one for good (READONLY) may have been
    ///   carried out: it fails with `.connectionClosed`, and not with that refusal.
    /// - Returns: of each what ``send(_:)`` would return or throw.
    func send(_ questions: [Question], tellingLoss: Bool = false) async -> [Result<RedisReply, RedisError>] {
        guard !questions.isEmpty else { return [] }
        let handler = handler
        let timeout = timeout
        return await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                let deadline = handler.eventLoop.now + timeout
                handler.value.prepare(Set(questions.compactMap(\.command.script)), deadline: deadline) {
                    guard handler.value.isOpen || !tellingLoss else {
                        let lost = RedisError.notConnected("the connection was lost")
                        return continuation.resume(returning: questions.map { _ in .failure(lost) })
                    }
                    let replies = Replies(count: questions.count) { continuation.resume(returning: $0) }
                    for (place, question) in questions.enumerated() {
                        // Nothing comes between both, for the script is there.
                        if question.isAsking {
                            handler.value.send(.asking, deadline: deadline) { _ in }
                        }
                        handler.value.send(question.command, deadline: deadline) { reply in
                            // Its own refusal is told before the connection ends.
                            let isLost = tellingLoss && !handler.value.isOpen
                            replies.take(isLost ? reply.mapError(\.asLoss) : reply, at: place)
                        }
                    }
                }
            }
        }
    }

    /// Calls back once, on a loop, when the connection is gone; soon if it is gone already.
    func whenClosed(_ closed: @escaping @Sendable () -> Void) {
        let (handler, ticking) = (handler, ticking)
        handler.eventLoop.execute {
            handler.value.whenClosed { _ in
                // Nobody else ends it where the server does.
                ticking.cancel()
                closed()
            }
        }
    }

    /// What still waits fails with `.shutdown`.
    func close() {
        ticking.cancel()
        let handler = handler
        handler.eventLoop.execute { handler.value.close(.shutdown) }
    }
}

extension RedisError {
    /// What another command was refused with is no refusal of this one.
    fileprivate var asLoss: RedisError {
        if case .server(let line) = self { .connectionClosed(line) } else { self }
    }
}
