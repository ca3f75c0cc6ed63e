// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOConcurrencyHelpers
import Octets
import Redis
import Settings
import TestSupport
import Testing

@testable import tollgate

@Suite struct RecordKeeperTests {
    /// At a pace of milliseconds instead of hours.
    private static let pace = RecordKeeper.Pace(first: .milliseconds(1), interval: .milliseconds(40), step: .zero)

    private func settings(_ server: RedisServer) throws -> Settings {
        try Settings.parse("redis: {url: '\(server.url)'}\nkeys: {retain: 1h}\n", named: "t.yaml")
    }

    @Test func itGoesOnUntilTheDaemonEnds() async throws {
        try await RedisServer.run { server in
            let client = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { client.close() }
            func revoked(_ local: String) async throws {
                _ = try await client.send("HSET", "tg:1:{acme}:k:\(local)", "key_hash", "00", "is_active", "0")
                _ = try await client.send("HSET", "tg:1:{acme}:k:\(local)", "revoked_at", "1700000000")
                _ = try await client.send("ZADD", "tg:1:{acme}:keys", "1600000000", local)
            }
            func isGone(_ local: String) async throws -> Bool {
                try await client.send("EXISTS", "tg:1:{acme}:k:\(local)") == .integer(0)
            }
            _ = try await client.send("SET", "tg:1:{:m}:meta", "here")
            _ = try await client.send("HSET", "tg:1:{acme}", "rev", "1", "status", "active")
            try await revoked("first")
            let database = NIOLockedValueBox<[UInt8]?>(nil)
            let settings = try settings(server)
            let keeper = RecordKeeper(
                { settings }, pace: Self.pace, logger: .silent, database: { database.withLockedValue { $0 } })
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await keeper.run() }
                // Of a database that nobody has seen nothing is removed.
                #expect(try await client.send("EXISTS", "tg:1:{:m}:retention") == .integer(0))
                database.withLockedValue { $0 = Array("here".utf8) }
                while !(try await isGone("first")) { try await Task.sleep(for: .milliseconds(5)) }
                try await revoked("second")
                while !(try await isGone("second")) { try await Task.sleep(for: .milliseconds(5)) }
                tasks.cancelAll()
            }
        }
    }

    @Test func itEndsAtOnceWhileItWaits() async throws {
        let settings = try Settings.load()
        let keeper = RecordKeeper({ settings }, logger: .silent, database: { nil })
        let start = ContinuousClock.now
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await keeper.run() }
            tasks.cancelAll()
        }
        // Its first wait is at least half a minute.
        #expect(ContinuousClock.now - start < .seconds(25))
    }
}
