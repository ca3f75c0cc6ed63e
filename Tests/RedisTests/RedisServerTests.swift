// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

import TestSupport

@Suite struct RedisServerTests {
    @Test func answersOnItsSocketAndPort() async throws {
        try await RedisServer.run(.init(tcp: true, password: "geheim")) { server in
            #expect(try await server.cli("PING") == "PONG")
            let port = try #require(server.tcpPort)
            #expect(try await server.cli("CONFIG", "GET", "port") == "port\n\(port)")
            #expect(server.tcpURL == "redis://127.0.0.1:\(port)/0")
            #expect(server.url == "unix:\(server.socketPath)")
        }
    }

    @Test func keepsItsDataWhenKilled() async throws {
        try await RedisServer.run(.init(persists: true)) { server in
            #expect(try await server.cli("SET", "k", "v") == "OK")
            try await server.kill()
            #expect(try await server.cli("PING").contains("Could not connect to Redis"))
            try await server.start()
            #expect(try await server.cli("GET", "k") == "v")
            try await server.restart()
            #expect(try await server.cli("GET", "k") == "v")
        }
    }

    @Test func isGoneAfterwardsAlsoWhenFrozen() async throws {
        struct Oops: Error {}
        var directory = ""
        await #expect(throws: Oops.self) {
            try await RedisServer.run { server in
                directory = server.directory
                try await server.freeze()
                throw Oops()
            }
        }
        #expect(!directory.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: directory))
    }

    @Test func saysWhyItDidNotStart() async throws {
        let failure = await #expect(throws: RedisServer.Failure.self) {
            try await RedisServer.run(.init(configuration: ["no-such-directive 1"])) { _ in }
        }
        #expect(failure?.description.contains("no-such-directive") == true)
    }

    /// A trap or a kill of the test process leaves nothing behind either.
    @Test(.timeLimit(.minutes(1))) func isGoneWhenTheTestProcessIsKilled() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            try await RedisServer.run { server in
                FileHandle.standardOutput.write(Data("<\(server.directory)>".utf8))
                kill(getpid(), SIGKILL)
            }
        }
        let output = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        let directory = try #require(output.split(whereSeparator: "<>".contains).first { $0.hasPrefix("/") })
        // The shell removes it when the server is dead; nothing else tells of that.
        while FileManager.default.fileExists(atPath: String(directory)) { try await Task.sleep(for: .milliseconds(5)) }
    }
}
