// SPDX-License-Identifier: Apache-2.0

package import Endpoints
import NIOCore
import NIOPosix

/// Redis for the control plane: connects once, says clearly why it can't, and awaits each reply.
///
/// For the CLI and for tests; requests take a ``RedisConnection`` on their loop. Close it in the end.
package final class RedisClient: Sendable {
    private let handler: NIOLoopBound<RedisChannelHandler>
    private let ticking: RepeatedTask
    private let timeout: TimeAmount
    /// As sentinels had it when this connected; nil where none were asked.
    package let topology: TopologyReport?

    /// - Parameters:
    ///   - timeout: of connecting and of each command.
    ///   - longestReply: bytes of one reply.
    ///   - patience: for how long a failover is waited for, where the endpoint names sentinels.
    /// - Throws: `.notConnected` when nobody answers there, `.server` when the server refuses us (`WRONGPASS …`), `.unfit` when
    ///   it is none that could be used.
    package static func connect(
        to endpoint: RedisEndpoint, timeout: Duration = .seconds(5), longestReply: Int = 64 * 1024 * 1024,
        patience: Duration = .zero
    ) async throws(RedisError) -> RedisClient {
        let timeout = TimeAmount(timeout)
        let found = try await PrimaryWatch.find(endpoint, patience: TimeAmount(patience))
        let endpoint = found.map { endpoint.server(at: $0.0.address) } ?? endpoint
        let client: RedisClient
        do {
            let handler = try await endpoint.connect(
                on: MultiThreadedEventLoopGroup.singleton.next(), timeout: timeout, longestReply: longestReply,
                longestQueue: .max
            ).get()
            client = RedisClient(handler: handler, timeout: timeout, found: found?.1)
        } catch {
            throw RedisError(connecting: error)
        }
        do {
            try await client.greet(endpoint)
        } catch {
            client.close()
            throw error
        }
        return client
    }

    private func greet(_ endpoint: RedisEndpoint) async throws(RedisError) {
        let handler = handler
        let timeout = timeout
        let result: Result<Void, RedisError> = await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                let deadline = handler.eventLoop.now + timeout
                handler.value.greet(endpoint, isCautious: true, before: deadline) { continuation.resume(returning: $0) }
            }
        }
        try result.get()
    }

    private init(handler: NIOLoopBound<RedisChannelHandler>, timeout: TimeAmount, found topology: TopologyReport?) {
        self.topology = topology
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
    }

    /// - Throws: `.server` with the server's error line; whatever kept the reply from coming otherwise.
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisReply {
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

    /// Sends many commands at once, which costs one round trip.
    ///
    /// - Returns: of each, what ``send(_:)-(RedisCommand)`` would return or throw.
    package func send(_ commands: [RedisCommand]) async -> [Result<RedisReply, RedisError>] {
        guard !commands.isEmpty else { return [] }
        let handler = handler
        let timeout = timeout
        return await withCheckedContinuation { continuation in
            handler.eventLoop.execute {
                let deadline = handler.eventLoop.now + timeout
                handler.value.prepare(Set(commands.compactMap(\.script)), deadline: deadline) {
                    let replies = Replies(count: commands.count) { continuation.resume(returning: $0) }
                    for (place, command) in commands.enumerated() {
                        handler.value.send(command, deadline: deadline) { replies.take($0, at: place) }
                    }
                }
            }
        }
    }

    /// `try await client.send("HGET", key, "rev")`
    package func send(_ name: String, _ arguments: String...) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(name)
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    /// Calls a script by its digest; the first call loads it.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [String]
    ) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(script, keyCount: keys.count)
        for key in keys { command.append(key) }
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    /// What still waits fails with `.shutdown`.
    package func close() {
        ticking.cancel()
        let handler = handler
        handler.eventLoop.execute { handler.value.close(.shutdown) }
    }
}
