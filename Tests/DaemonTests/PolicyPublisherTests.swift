// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Octets
import Redis
import Settings
import TestSupport
import Testing

@testable import tollgate

@Suite struct PolicyPublisherTests {
    private func publisher(_ server: RedisServer) throws -> PolicyPublisher {
        PolicyPublisher(try Settings.parse("redis: {url: '\(server.url)'}\n", named: "t.yaml"), logger: .silent)
    }

    @Test func theFirstBeatIsThereWhenItReturns() async throws {
        try await RedisServer.run { server in
            let client = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
            defer { client.close() }
            _ = try await client.send("SET", "tg:1:{:m}:meta", "here")
            try await publisher(server).publishFirst(into: Array("here".utf8), until: .now + .seconds(60))
            #expect(try await client.send("ZCARD", "tg:1:{:m}:sidecars") == .integer(1))
        }
    }

    /// However long each of its commands may take, the listeners don't wait for more than the deadline.
    @Test func aRedisThatIsSilentIsNotWaitedFor() async throws {
        try await RedisServer.run { server in
            try await server.freeze()
            let began = ContinuousClock.now
            try await publisher(server).publishFirst(into: Array("here".utf8), until: began + .milliseconds(10))
            // A command has five seconds.
            #expect(began.duration(to: .now) < .seconds(4))
            try await server.thaw()
        }
    }
}
