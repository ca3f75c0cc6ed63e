// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// Redis for the control plane: connects once, says clearly why it can't, and awaits each reply.
///
/// For the CLI and for tests; requests take a ``RedisConnection`` on their loop.
package final class RedisClient: Sendable {
    private static let tick = TimeAmount.milliseconds(10)

    private let handler: NIOLoopBound<RedisChannelHandler>
    private let ticking: RepeatedTask
    private let timeout: TimeAmount

    /// - Parameters:
    ///   - timeout: of connecting and of each command.
    ///   - longestReply: bytes of one reply.
    /// - Throws: `.notConnected` when nobody answers there, `.server` when the server refuses us (`WRONGPASS …`).
    package static func connect(
        to endpoint: RedisEndpoint, timeout: Duration = .seconds(5), longestReply: Int = 64 * 1024 * 1024
    ) async throws(RedisError) -> RedisClient {
        let timeout = TimeAmount(timeout)
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let client: RedisClient
        do {
            let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(timeout)
            let made = NIOLoopBoundBox<NIOLoopBound<RedisChannelHandler>?>.makeEmptyBox(eventLoop: eventLoop)
            let initialized = bootstrap.channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = RedisChannelHandler(longestReply: longestReply, longestQueue: .max) { _ in }
                    made.value = NIOLoopBound(handler, eventLoop: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            switch endpoint.address {
            case .tcp(let host, let port): _ = try await initialized.connect(host: host, port: port).get()
            case .unix(let path): _ = try await initialized.connect(unixDomainSocketPath: path).get()
            }
            client = try await eventLoop.submit {
                guard let handler = made.value else { throw RedisError.notConnected("closed") }
                let ticking = eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in
                    _ = handler.value.expire(at: .now())
                }
                return RedisClient(handler: handler, ticking: ticking, timeout: timeout)
            }.get()
        } catch let error as RedisError {
            throw error
        } catch {
            throw .notConnected("\(error)")
        }
        for command in RedisConnection.greeting(for: endpoint) { _ = try await client.send(command) }
        return client
    }

    private init(handler: NIOLoopBound<RedisChannelHandler>, ticking: RepeatedTask, timeout: TimeAmount) {
        self.handler = handler
        self.ticking = ticking
        self.timeout = timeout
    }

    /// - Throws: `.server` with the server's error line; whatever kept the reply from coming otherwise.
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisReply {
        let handler = handler
        let timeout = timeout
        let result: Result<RedisReply, RedisError> = await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                let now = NIODeadline.now()
                handler.value.send(command, deadline: now + timeout, at: now) { continuation.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    /// `try await client.send("HGET", key, "rev")`
    package func send(_ name: String, _ arguments: String...) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(name)
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [String]
    ) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(script, keyCount: keys.count)
        for key in keys { command.append(key) }
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    package func close() {
        ticking.cancel()
        let handler = handler
        handler.eventLoop.execute { handler.value.close(.shutdown) }
    }
}
