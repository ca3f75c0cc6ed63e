// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOCore
import NIOPosix
import Octets
import TestSupport
import Testing

@testable import Redis

/// A connection on a loop, used from outside of it and ticked every 10 ms as a loop does.
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
        onConnect: (
            @Sendable (
                @escaping (RedisCommand, @escaping RedisConnection.Completion) -> Void,
                @escaping (Result<Void, RedisError>) -> Void
            ) -> Void
        )? = nil,
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

    /// Sends all in one tick and returns when that has been done.
    ///
    /// - Parameters:
    ///   - before: what comes before it in that tick, in which the loop hears of nothing else.
    ///   - after: what comes behind it, before anything has left.
    /// - Returns: the outcomes, in the order in which they come.
    func begin(
        _ commands: [RedisCommand], before: @escaping @Sendable () throws -> Void = {},
        after: @escaping @Sendable (RedisConnection) -> Void = { _ in }
    ) async throws -> AsyncStream<Outcome> {
        let connection = connection
        return try await connection.eventLoop.submit {
            try before()
            defer { after(connection.value) }
            let (outcomes, outcome) = AsyncStream<Outcome>.makeStream()
            var outstanding = commands.count
            for command in commands {
                connection.value.send(command, deadline: .now() + .seconds(30)) { result in
                    outcome.yield(result)
                    outstanding -= 1
                    if outstanding == 0 { outcome.finish() }
                }
            }
            return outcomes
        }.get()
    }

    func sendTogether(_ commands: [RedisCommand]) async throws -> [Outcome] {
        try await begin(commands).reduce(into: []) { $0.append($1) }
    }

    var isReady: Bool {
        get async { await look(\.isReady) }
    }

    var lastFailure: RedisError? {
        get async { await look(\.lastFailure) }
    }

    private func look<Value: Sendable>(_ path: any KeyPath<RedisConnection, Value> & Sendable) async -> Value {
        let connection = connection
        return await withCheckedContinuation { continuation in
            connection.eventLoop.execute { continuation.resume(returning: connection.value[keyPath: path]) }
        }
    }

    /// Waits until an attempt to connect has come to nothing.
    func hasFailed() async {
        while await lastFailure == nil { try? await Task.sleep(for: .milliseconds(5)) }
    }

    /// Waits for that state, which has to come.
    func becomes(ready: Bool) async {
        for await state in states where state == ready { return }
    }
}

extension RedisServer {
    /// Asks the server past the connection under test.
    func says(_ answer: String, to words: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let said = try await cli(words)
        #expect(said == answer, sourceLocation: sourceLocation)
    }
}
