// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix

@testable import Redis

/// A connection on a loop, used from outside of it and ticked every 10 ms as a shard does.
final class ConnectionDriver: Sendable {
    typealias Outcome = Result<RedisReply, RedisError>

    private let connection: NIOLoopBound<RedisConnection>
    private let ticking: RepeatedTask
    /// Whether it is ready, each time that has changed.
    let states: AsyncStream<Bool>

    private init(connection: NIOLoopBound<RedisConnection>, ticking: RepeatedTask, states: AsyncStream<Bool>) {
        self.connection = connection
        self.ticking = ticking
        self.states = states
    }

    /// Lends a started connection to the body and closes it afterwards.
    static func run(
        _ endpoint: RedisEndpoint, scripts: [RedisScript] = [], logger: Logger? = nil,
        onConnect: (@Sendable (@escaping (RedisCommand, @escaping RedisConnection.Completion) -> Void,
            @escaping (Result<Void, RedisError>) -> Void) -> Void)? = nil,
        _ adjust: @escaping @Sendable (inout RedisConnection.Configuration) -> Void = { _ in },
        _ body: (ConnectionDriver) async throws -> Void
    ) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let driver = try await loop.submit {
            var configuration = RedisConnection.Configuration()
            adjust(&configuration)
            let connection = RedisConnection(
                endpoint: endpoint, on: loop, scripts: scripts, configuration: configuration, onConnect: onConnect,
                logger: logger ?? Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let (states, state) = AsyncStream<Bool>.makeStream()
            connection.onStateChange = { state.yield($0) }
            connection.start()
            let bound = NIOLoopBound(connection, eventLoop: loop)
            let ticking = loop.scheduleRepeatedTask(initialDelay: .milliseconds(10), delay: .milliseconds(10)) { _ in
                bound.value.expire(now: .now())
            }
            return ConnectionDriver(connection: bound, ticking: ticking, states: states)
        }.get()
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(driver))
        } catch {
            result = .failure(error)
        }
        try await driver.close()
        driver.ticking.cancel()
        try result.get()
    }

    func close() async throws {
        let connection = connection
        try await connection.eventLoop.flatSubmit { connection.value.close() }.get()
    }

    func send(_ words: String..., within timeout: TimeAmount = .seconds(10)) async -> Outcome {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return await send(command, within: timeout)
    }

    func send(_ command: RedisCommand, within timeout: TimeAmount = .seconds(10)) async -> Outcome {
        let connection = connection
        return await withCheckedContinuation { continuation in
            connection.eventLoop.execute {
                connection.value.send(command, deadline: .now() + timeout) { continuation.resume(returning: $0) }
            }
        }
    }

    /// Sends all in one tick.
    /// - Returns: the outcomes, in the order in which they came.
    func sendTogether(_ commands: [RedisCommand]) async -> [Outcome] {
        let connection = connection
        return await withCheckedContinuation { continuation in
            connection.eventLoop.execute {
                var outcomes: [Outcome] = []
                for command in commands {
                    connection.value.send(command, deadline: .now() + .seconds(30)) { outcome in
                        outcomes.append(outcome)
                        if outcomes.count == commands.count { continuation.resume(returning: outcomes) }
                    }
                }
            }
        }
    }

    var isReady: Bool {
        get async throws {
            let connection = connection
            return try await connection.eventLoop.submit { connection.value.isReady }.get()
        }
    }

    var lastFailure: RedisError? {
        get async throws {
            let connection = connection
            return try await connection.eventLoop.submit { connection.value.lastFailure }.get()
        }
    }

    /// Waits for that state, which has to come.
    func becomes(ready: Bool) async {
        for await state in states where state == ready { return }
    }
}
