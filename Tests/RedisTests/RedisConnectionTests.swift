// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import Octets
import Synchronization
import TestSupport
import Testing

@testable import Redis

/// A connection and a real server.
@Suite(.timeLimit(.minutes(2))) struct RedisConnectionTests {
    private static let add = RedisScript(
        name: "add", source: "#!lua\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])")
    private static let who = RedisScript(
        name: "who", source: "#!lua flags=no-writes\nreturn {redis.call('GET', KEYS[1]), 7, {}, false}")

    private func endpoint(of server: RedisServer) -> RedisEndpoint { .init(.unix(path: server.socketPath)) }

    private func call(_ script: RedisScript, _ key: String, _ argument: Int64? = nil) -> RedisCommand {
        var command = RedisCommand(script, keyCount: 1)
        command.append(key)
        if let argument { command.append(argument) }
        return command
    }

    /// A busy machine is no outage.
    private static func patiently(_ configuration: inout RedisConnection.Configuration) {
        (configuration.connectTimeout, configuration.silence) = (.seconds(20), .seconds(20))
    }

    // MARK: Where and who

    @Test func speaksOverTCPAndUnixSockets() async throws {
        try await RedisServer.run(.init(tcp: true)) { server in
            let port = try #require(server.tcpPort)
            let endpoints = [
                endpoint(of: server), .init(.tcp(host: "127.0.0.1", port: port)),
                // The first address of the name may be ::1, where nobody listens.
                .init(.tcp(host: "localhost", port: port)),
            ]
            for endpoint in endpoints {
                try await ConnectionDriver.run(endpoint, Self.patiently) { redis in
                    #expect(await redis.send("SET", "k", "a\r\n\0ü") == .success(.status("OK")))
                    #expect(await redis.send("GET", "k") == .success(.bytes(Array("a\r\n\0ü".utf8))))
                    #expect(await redis.send("GET", "none") == .success(.null))
                    #expect(await redis.send("INCR", "k").failure?.serverCode == "ERR")
                    #expect(await redis.isReady)
                }
            }
        }
    }

    @Test func authenticatesAndSelects() async throws {
        let options = RedisServer.Options(password: "other", users: ["app on >se@cr/et ~* &* +@all"])
        try await RedisServer.run(options) { server in
            let url = "unix://app:se%40cr%2Fet@\(server.socketPath)?db=3"
            try await ConnectionDriver.run(try RedisEndpoint(parsing: url), Self.patiently) { redis in
                #expect(await redis.send("ACL", "WHOAMI") == .success(.bytes(Array("app".utf8))))
                #expect(await redis.send("SET", "k", "v") == .success(.status("OK")))
                try await server.says("v", to: "-n", "3", "GET", "k")
            }
            let old = try RedisEndpoint(parsing: "unix://:other@\(server.socketPath)")
            try await ConnectionDriver.run(old, Self.patiently) { redis in
                #expect(await redis.send("ACL", "WHOAMI") == .success(.bytes(Array("default".utf8))))
            }
        }
    }

    @Test func aWrongPasswordIsToldAndTheRightOneFoundLater() async throws {
        try await RedisServer.run { server in
            let url = "unix://app:secret@\(server.socketPath)"
            try await ConnectionDriver.run(try RedisEndpoint(parsing: url), Self.patiently) { redis in
                let wrong = "WRONGPASS invalid username-password pair or user is disabled."
                await redis.hasFailed()
                #expect(await redis.send("PING", within: .milliseconds(200)) == .failure(.notConnected(wrong)))
                #expect(await redis.lastFailure == .server(wrong))
                try await server.says("OK", to: "ACL", "SETUSER", "app", "on", ">secret", "+@all")
                await redis.becomes(ready: true)
                #expect(await redis.send("PING") == .success(.status("PONG")))
                #expect(await redis.lastFailure == nil)
            }
        }
    }

    @Test func aDatabaseThatIsNotThereIsTold() async throws {
        try await RedisServer.run { server in
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), database: 99)
            try await ConnectionDriver.run(endpoint, Self.patiently) { redis in
                await redis.hasFailed()
                #expect(await redis.lastFailure == .server("ERR DB index is out of range"))
            }
        }
    }

    #if os(Linux)
        @Test func theKernelAsksWhetherASilentPeerIsThere() async throws {
            try await RedisServer.run(.init(tcp: true)) { server in
                let port = try #require(server.tcpPort)
                try await ConnectionDriver.run(RedisEndpoint(.tcp(host: "127.0.0.1", port: port)), Self.patiently) {
                    redis in
                    #expect(await redis.send("PING") == .success(.status("PONG")))
                    // Until the last segment is acknowledged another timer runs.
                    var timers: [String] = []
                    while timers.first?.hasPrefix("keepalive,") != true {
                        try await Task.sleep(for: .milliseconds(5))
                        timers = try await server.kernelTimers()
                        try #require(timers.count == 1, "\(timers)")
                    }
                    let seconds = try #require(timers[0].split(separator: ",")[1].split(separator: "sec").first)
                    #expect(seconds.allSatisfy(\.isNumber) && Int(seconds) ?? 31 <= 30, "\(timers)")
                }
            }
        }
    #endif

    // MARK: Scripts

    @Test func scriptsAreThereBeforeTheFirstCommand() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), scripts: [Self.add, Self.who], Self.patiently) {
                redis in
                #expect(await redis.send(call(Self.add, "n", 20)) == .success(.integer(20)))
                #expect(
                    await redis.send(call(Self.who, "n"))
                        == .success(.array([.bytes(Array("20".utf8)), .integer(7), .array([]), .null])))
                let statistics = try await server.cli("INFO", "commandstats")
                #expect(statistics.contains("cmdstat_script|load:calls=2,"))
            }
        }
    }

    @Test func scriptsThatWereFlushedComeBackAndChargeOnce() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), scripts: [Self.add], Self.patiently) { redis in
                #expect(await redis.send(call(Self.add, "n", 1)) == .success(.integer(1)))
                try await server.says("OK", to: "SCRIPT", "FLUSH")
                let outcomes = try await redis.sendTogether(Array(repeating: call(Self.add, "n", 1), count: 100))
                #expect(outcomes.compactMap { try? $0.get().integer } == (2...101).map(Int64.init))
                let statistics = try await server.cli("INFO", "commandstats")
                #expect(statistics.contains("cmdstat_script|load:calls=2,"))
            }
        }
    }

    @Test func aScriptThatDoesNotCompileKeepsTheConnectionFromBeingReady() async throws {
        let broken = RedisScript(name: "broken", source: "#!lua\nreturn (")
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), scripts: [broken], Self.patiently) { redis in
                await redis.hasFailed()
                #expect(await redis.lastFailure?.serverCode == "ERR")
                #expect(await !redis.isReady)
            }
        }
    }

    // MARK: The owner's check

    @Test func theCheckComesBeforeWhoeverWaits() async throws {
        try await RedisServer.run { server in
            let checks = NIOLockedValueBox(0)
            let isAwaited = Atomic(false)
            try await ConnectionDriver.run(
                endpoint(of: server), scripts: [Self.add],
                onConnect: { send, done in
                    func failOnceAwaited() {
                        guard !isAwaited.load(ordering: .relaxed) else {
                            return done(.failure(.notConnected("not this one")))
                        }
                        send(RedisCommand("PING")) { _ in failOnceAwaited() }
                    }
                    send(self.call(Self.add, "n", 1)) { result in
                        let isFirst = checks.withLockedValue { count in
                            count += 1
                            return count == 1
                        }
                        isFirst ? failOnceAwaited() : done(result.map { _ in })
                    }
                }, Self.patiently
            ) { redis in
                var get = RedisCommand("GET")
                get.append("n")
                let outcomes = try await redis.begin([get])
                isAwaited.store(true, ordering: .relaxed)
                // Nobody waits for the attempt after the one that failed.
                for await outcome in outcomes { #expect(outcome == .failure(.notConnected("not this one"))) }
                await redis.becomes(ready: true)
                #expect(await redis.send("GET", "n") == .success(.bytes(Array("2".utf8))))
                #expect(checks.withLockedValue { $0 } == 2)
            }
        }
    }

    // MARK: Pipelining

    @Test func aThousandCommandsOfOneTickAreAnsweredInOrder() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), scripts: [Self.add], Self.patiently) { redis in
                await redis.becomes(ready: true)
                let outcomes = try await redis.sendTogether(Array(repeating: call(Self.add, "n", 1), count: 1000))
                #expect(outcomes.compactMap { try? $0.get().integer } == (1...1000).map(Int64.init))
            }
        }
    }

    @Test func aReplyLongerThanTheBoundCostsTheConnection() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), Self.patiently) { redis in
                #expect(await redis.send("SETRANGE", "big", "1200000", "x") == .success(.integer(1_200_001)))
                #expect(
                    await redis.send("GET", "big")
                        == .failure(.protocolViolation("no whole reply within 1048576 bytes")))
                #expect(await redis.send("PING") == .success(.status("PONG")))
            }
        }
    }
}

extension Result {
    var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
