// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Redis

@Suite(.timeLimit(.minutes(2))) struct RedisLogTests {
    /// Lines as `level message [key=value …]`, keys sorted.
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let values = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            lines.all.withLock { $0.append("\(event.level) \(event.message) [\(values.joined(separator: " "))]") }
        }
    }

    @Test func aChangeIsOneLineAndNeverShowsThePassword() async throws {
        let lines = Lines()
        let logger = Logger(label: "test") { _ in Recorder(lines: lines) }
        try await RedisServer.run(.init(users: ["app on >secret ~* +@all"])) { server in
            let endpoint = try RedisEndpoint(parsing: "unix://app:secret@\(server.socketPath)")
            try await ConnectionDriver.run(endpoint, logger: logger) { redis in
                await redis.becomes(ready: true)
                try await server.stop()
                // Refused about ten times meanwhile.
                _ = await redis.send("PING", within: .seconds(1))
                try await server.start()
                await redis.becomes(ready: true)
            }
            let place = "redis.endpoint=unix:\(server.socketPath)"
            let connected = "info redis connected [\(place)]"
            let logged = lines.all.withLock { $0 }
            #expect(logged.first == connected)
            #expect(logged.last == connected)
            let lost = "redis.error=connection lost: the server closed the connection"
            #expect(logged.contains("error redis unavailable [\(place) \(lost)]"))
            #expect(logged.contains("error redis unavailable [\(place) redis.error=not connected: no such socket]"))
            #expect(logged.count <= 5, "\(logged)")
            #expect(!logged.joined().contains("secret"))
        }
    }

    @Test func aServerThatRepeatsThePasswordIsNotQuoted() async throws {
        let lines = Lines()
        let logger = Logger(label: "test") { _ in Recorder(lines: lines) }
        try await RedisServer.run(.init(configuration: ["rename-command AUTH \"\""])) { server in
            let endpoint = try RedisEndpoint(parsing: "unix://app:secret@\(server.socketPath)")
            try await ConnectionDriver.run(endpoint, logger: logger) { redis in
                let failure = await redis.send("PING", within: .milliseconds(200)).failure
                #expect(failure == .notConnected("ERR unknown command 'AUTH'"))
            }
            let place = "redis.endpoint=unix:\(server.socketPath)"
            let line = "error redis unavailable [\(place) redis.error=ERR unknown command 'AUTH']"
            #expect(lines.all.withLock { $0 } == [line])
        }
    }
}
