// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Octets
import TestSupport
import Testing

@testable import Redis

@Suite struct RedisClientTests {
    private static let echo = RedisScript(
        name: "echo", source: "#!lua flags=no-writes\nreturn {KEYS[1], ARGV[1], ARGV[2]}")

    private func failure(
        connectingTo url: String, within timeout: Duration = .seconds(30)
    ) async throws -> RedisError? {
        let endpoint = try RedisEndpoint(parsing: url)
        return await #expect(throws: RedisError.self) {
            try await RedisClient.connect(to: endpoint, timeout: timeout)
        }
    }

    @Test func sendsAndEvaluates() async throws {
        try await RedisServer.run { server in
            let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: server.url + "?db=2"))
            #expect(try await redis.send("HSET", "h", "a", "1", "b", "2") == .integer(2))
            #expect(try await redis.send("HGET", "h", "b").text == "2")
            for _ in 0..<2 {
                let reply = try await redis.evaluate(Self.echo, keys: ["k"], arguments: ["1", "zwei"])
                #expect(reply.array?.map(\.text) == ["k", "1", "zwei"])
            }
            #expect(try await server.cli("SCRIPT", "FLUSH") == "OK")
            _ = try await redis.evaluate(Self.echo, keys: ["k"], arguments: ["1", "2"])
            #expect(try await server.cli("-n", "2", "HGET", "h", "a") == "1")
            redis.close()
            await #expect(throws: RedisError.shutdown) { try await redis.send("PING") }
        }
    }

    @Test func readsWhatARequestMayNot() async throws {
        try await RedisServer.run { server in
            let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: server.url), timeout: .seconds(30))
            _ = try await redis.send("SETRANGE", "big", "5000000", "x")
            guard case .bytes(let bytes) = try await redis.send("GET", "big") else { Issue.record("no bytes"); return }
            #expect(bytes.count == 5_000_001)
            redis.close()
        }
    }

    @Test func saysWhyItCannotConnect() async throws {
        let options = RedisServer.Options(tcp: true, password: "secret", users: ["app on >secret +ping"])
        try await RedisServer.run(options) { server in
            let port = try #require(server.tcpPort)
            let wrong = RedisError.server("WRONGPASS invalid username-password pair or user is disabled.")
            #expect(try await failure(connectingTo: "redis://:wrong@127.0.0.1:\(port)") == wrong)
            #expect(try await failure(connectingTo: "redis://nobody:secret@127.0.0.1:\(port)") == wrong)
            #expect(
                try await failure(connectingTo: "redis://app:secret@127.0.0.1:\(port)/1")?.serverCode == "NOPERM")

            let app = try await RedisClient.connect(to: RedisEndpoint(parsing: "redis://app:secret@127.0.0.1:\(port)"))
            #expect(try await app.send("PING") == .status("PONG"))
            let denied = await #expect(throws: RedisError.self) { try await app.send("GET", "k") }
            #expect(denied?.serverCode == "NOPERM")
            let script = await #expect(throws: RedisError.self) {
                try await app.evaluate(Self.echo, keys: [], arguments: [])
            }
            #expect(script?.serverCode == "NOPERM")
            app.close()

            #expect(try await failure(connectingTo: "redis://127.0.0.1:\(port)")?.serverCode == "NOAUTH")

            try await server.stop()
            #expect(try await failure(connectingTo: server.url) == .notConnected("no such socket"))
        }
        try await UnusedPort.lend { port in
            let refused = try await failure(connectingTo: "redis://127.0.0.1:\(port)")
            #expect(refused == .notConnected("connection refused"))
        }
    }

    /// Redis repeats a command that it doesn't know, password and all.
    @Test func aServerWithoutAUTHDoesNotMakeUsShowThePassword() async throws {
        try await RedisServer.run(.init(configuration: ["rename-command AUTH \"\"", "rename-command HELLO \"\""])) {
            server in
            let refused = try await failure(connectingTo: "unix://app:secret@\(server.socketPath)")
            #expect(refused == .server("ERR unknown command 'AUTH'"))
        }
    }

    @Test func aServerThatIsFullSaysSo() async throws {
        try await RedisServer.run(.init(configuration: ["maxclients 1"])) { server in
            let first = try await RedisClient.connect(to: RedisEndpoint(parsing: server.url))
            #expect(try await first.send("PING") == .status("PONG"))
            let full = await #expect(throws: RedisError.self) {
                let second = try await RedisClient.connect(to: RedisEndpoint(parsing: server.url))
                _ = try await second.send("PING")
            }
            #expect(full == .server("ERR max number of clients reached"))
            first.close()
        }
    }

    @Test func aFrozenServerTimesOut() async throws {
        try await RedisServer.run(.init(password: "secret")) { server in
            try await server.freeze()
            let url = "unix://:secret@\(server.socketPath)"
            #expect(try await failure(connectingTo: url, within: .milliseconds(500)) == .timeout)
        }
    }

    /// A label may have 63 octets, so no name server is asked.
    @Test func aNameThatIsNoneIsTold() async throws {
        let name = String(repeating: "x", count: 64)
        #expect(
            try await failure(connectingTo: "redis://\(name)") == .notConnected("the name \(name) can't be resolved"))
    }
}
