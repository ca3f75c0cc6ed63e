// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Octets
import TestSupport
import Testing

@testable import Redis

@Suite(.timeLimit(.minutes(2))) struct RedisLogTests {
    /// A busy machine is no outage.
    private static func patiently(_ configuration: inout RedisConnection.Configuration) {
        (configuration.connectTimeout, configuration.silence) = (.seconds(20), .seconds(60))
    }

    @Test func aChangeIsOneLineAndNeverShowsThePassword() async throws {
        let log = RecordedLog()
        try await RedisServer.run(.init(users: ["app on >secret ~* +@all"])) { server in
            let endpoint = try RedisEndpoint(parsing: "unix://app:secret@\(server.socketPath)")
            try await ConnectionDriver.run(endpoint, logger: log.logger, Self.patiently) { redis in
                await redis.becomes(ready: true)
                try await server.stop()
                // Refused about ten times meanwhile.
                _ = await redis.send("PING", within: .seconds(1))
                try await server.start()
                await redis.becomes(ready: true)
            }
            let place = "redis.endpoint=unix:\(server.socketPath)"
            let connected = "debug redis connection made \(place)"
            let logged = log.lines
            #expect(logged.first == connected)
            #expect(logged.last == connected)
            let lost = "redis.error=connection lost: the server closed the connection"
            // It had just been made.
            #expect(logged.contains("debug redis connection failed \(place) \(lost)"))
            #expect(logged.contains("debug redis connection failed \(place) redis.error=not connected: no such socket"))
            #expect(logged.count <= 5, "\(logged)")
            #expect(!logged.joined().contains("secret"))
        }
    }

    /// `timeout 1`: the server closes what has been idle for a second or two.
    @Test func anIdleConnectionIsRenewedWithoutAWord() async throws {
        let log = RecordedLog()
        try await RedisServer.run(.init(configuration: ["timeout 1"])) { server in
            let endpoint = try RedisEndpoint(parsing: "unix:\(server.socketPath)")
            try await ConnectionDriver.run(endpoint, logger: log.logger) { redis in
                await redis.becomes(ready: true)
                while log.lines.count(where: { $0.hasPrefix("debug redis closed an idle connection") }) < 2 {
                    try await Task.sleep(for: .milliseconds(50))
                }
                await redis.becomes(ready: true)
            }
            #expect(log.lines.allSatisfy { $0.hasPrefix("debug ") })
        }
    }

    @Test func aServerThatRepeatsThePasswordIsNotQuoted() async throws {
        let log = RecordedLog()
        try await RedisServer.run(.init(configuration: ["rename-command AUTH \"\"", "rename-command HELLO \"\""])) {
            server in
            let endpoint = try RedisEndpoint(parsing: "unix://app:secret@\(server.socketPath)")
            try await ConnectionDriver.run(endpoint, logger: log.logger, Self.patiently) { redis in
                await redis.hasFailed()
                let failure = await redis.send("PING", within: .milliseconds(200)).failure
                #expect(failure == .notConnected("ERR unknown command 'AUTH'"))
            }
            let place = "redis.endpoint=unix:\(server.socketPath)"
            let line = "debug redis connection failed \(place) redis.error=ERR unknown command 'AUTH'"
            #expect(log.lines == [line])
        }
    }
}
